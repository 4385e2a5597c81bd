"""A process of clients that register at the same moment, each on its own connection, opened before."""

import asyncio
import gc
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec

from bench.control import RunFailed, answer_commands, arguments, run, until
from bench.poster import Poster, head
from bench.recipients import Recipient, Recipients
from bench.registering import Notices, Seat, encode_register, read_seat
from protocol.methods import MAX_PUSH_BATCH, RPC_PATH
from protocol.signing import encode_secret

LOOK_AGAIN_SECONDS: Final = 0.005

Told = Mapping[str, Any]


class Parameters(msgspec.Struct, forbid_unknown_fields=True):
    """The number of clients."""

    clients: int


class Client(Poster):
    """A client. After the response, either `seat` or `error` is set."""

    def __init__(self, body: bytes, port: int) -> None:
        super().__init__()
        self._request = head(port, RPC_PATH, len(body)) + body
        self.seat: Seat | None = None
        self.error = ""

    @property
    def is_answered(self) -> bool:
        """True when the outcome of the request is known."""
        return bool(self.seat or self.error)

    def register(self) -> None:
        """Send the `Register` request."""
        self.transport.write(self._request)

    def answered(self, status: int, body: bytes) -> None:
        """Store the registration or the error."""
        try:
            self.seat = read_seat(status, body)
        except RunFailed as problem:
            self.error = str(problem)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Store an error if there was no response."""
        if not self.is_answered:
            self.error = "the connection ended before a response came"


class Storm:
    """All clients, and the recipients behind their callbacks."""

    def __init__(self, clients: int) -> None:
        self.recipients = Recipients([Recipient() for _ in range(clients)])
        self.port = 0
        self._clients: list[Client] = []

    async def connect(self, port: int) -> Told:
        """Open a connection for each client."""
        for number, member in enumerate(self.recipients.members):
            params = {
                "name": f"Recipient {number}",
                "callback": f"http://127.0.0.1:{self.port}/{number}",
                "max_batch": MAX_PUSH_BATCH,
                "secret": encode_secret(member.key),
            }
            make = partial(Client, encode_register(params), port)
            _, client = await asyncio.get_running_loop().create_connection(make, "127.0.0.1", port)
            self._clients.append(client)
        return {}

    async def register(self) -> Told:
        """Register all clients. Return the seconds until all had a response, and until all later notices arrived."""
        begin = time.monotonic()
        for client in self._clients:
            client.register()
        await until(lambda: all(client.is_answered for client in self._clients), LOOK_AGAIN_SECONDS)
        answered = time.monotonic()
        pairs = zip(self.recipients.members, self._clients, strict=True)
        seated = [(member, client.seat) for member, client in pairs if client.seat is not None]
        notices = Notices(seated, max((seat.seq for _, seat in seated), default=0))
        await until(notices.have_arrived, LOOK_AGAIN_SECONDS)
        end = time.monotonic()
        errors = [client.error for client in self._clients if client.error]
        errors += self.recipients.problems + notices.problems()
        if errors:
            sys.stderr.write(f"{len(errors)} errors, the first: {errors[0]}\n")
        return {
            "answered_seconds": answered - begin,
            "seconds": end - begin,
            "deliveries": self.recipients.deliveries,
            "errors": len(errors),
        }


async def main() -> None:
    """Run the commands of the harness."""
    gc.disable()
    storm = Storm(arguments(Parameters).clients)
    storm.port = await storm.recipients.listen()
    await answer_commands({"port": storm.port}, connect=storm.connect, register=storm.register)


if __name__ == "__main__":
    run(main())
