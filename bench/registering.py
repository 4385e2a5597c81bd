"""Registration of recipients and senders."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import aiohttp
import msgspec

from bench.control import RunFailed
from bench.recipients import Recipient
from protocol.messages import RegisterResult
from protocol.methods import REGISTER


class Seat(msgspec.Struct, frozen=True):
    """A registration. Entries after `cursor` are delivered; `seq` was the newest `seq` at the registration."""

    id: str
    token: str
    cursor: int = 0
    seq: int = 0


class Answer(msgspec.Struct):
    """The response to `Register`."""

    result: RegisterResult | None = None
    error: Any = None


class Notices:
    """The join notices that each recipient must receive: all after its cursor, up to `newest`."""

    def __init__(self, seated: Iterable[tuple[Recipient, Seat]], newest: int) -> None:
        self._awaited = [(member, seat.cursor) for member, seat in seated if member.is_counted and seat.cursor < newest]
        self._newest = newest

    def have_arrived(self) -> bool:
        """Return true if each recipient has the newest notice."""
        return all(member.last >= self._newest for member, _ in self._awaited)

    def problems(self) -> list[str]:
        """Return a sentence for each recipient whose first entry was not the entry after its cursor."""
        return [
            f"a recipient whose cursor was {cursor} began with message {member.first}"
            for member, cursor in self._awaited
            if member.first != cursor + 1
        ]


def encode_register(params: Mapping[str, Any]) -> bytes:
    """Return the body of a `Register` request."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": REGISTER, "params": params, "id": 1})


def read_seat(status: int, body: bytes) -> Seat:
    """Return the registration from the response to `Register`. Raise `RunFailed` for an error."""
    result = msgspec.json.decode(body, type=Answer).result if status == 200 else None
    if result is None:
        raise RunFailed(f"Register was answered with {status}: {body.decode()}")
    return Seat(result.id, result.token, result.cursor, result.seq)


async def register(
    url: str, everybody: Iterable[Mapping[str, Any]], *, at_once: int, close: bool = False
) -> list[Seat]:  # fmt: skip
    """Register with each of these parameters, `at_once` in parallel. `close` opens a connection for each request."""
    connector = aiohttp.TCPConnector(limit=at_once, force_close=close)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout()) as session:

        async def call(params: Mapping[str, Any]) -> Seat:
            headers = {"Content-Type": "application/json"}
            async with session.post(url, data=encode_register(params), headers=headers) as response:
                return read_seat(response.status, await response.read())

        return await asyncio.gather(*(call(params) for params in everybody))
