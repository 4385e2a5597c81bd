"""What all ports have in common: connections that are kept, and what must be true of every answer."""

import contextlib
from random import Random
from typing import Any, Protocol, Self

import msgspec

from tests.fuzz.judge import Dialect, Wrong, check, check_shape
from tests.fuzz.raw_http import Ending, RawInput, RawRequests
from tests.fuzz.wire import Response, Wire, take_response


class Input(Protocol):
    """What is sent."""

    @property
    def whole(self) -> bytes:
        """All of it, as bytes."""


class Port(Protocol):
    """One port with somebody behind it. `draw` takes nothing but chance; `attempt` raises `Wrong`."""

    name: str

    async def __aenter__(self) -> Self:
        """Begin, with everything new."""

    async def __aexit__(self, *_: object) -> None:
        """End it."""

    def draw(self, draw: Random) -> Any:
        """Draw an input."""

    async def attempt(self, given: Any) -> str:
        """Send an input and say of what kind the answer was."""

    async def still_works(self) -> None:
        """See that a good request on a new connection is answered as it should be."""


class Kept:
    """A connection that is kept for one request after the other, as long as it lasts."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._wire: Wire | None = None

    async def exchange(self, request: bytes) -> Response:
        """Send a request and give the answer to it. Raises `Wrong`."""
        if self._wire is None or self._wire.is_over:
            self._wire = await Wire.to(self._port)
        wire = self._wire
        wire.send(request)
        response = await wire.response()
        if response is None:
            raise Wrong("the connection was closed without an answer")
        if response.closes:
            self.close()
        return response

    def close(self) -> None:
        """Take a new one next time."""
        if self._wire is not None:
            self._wire.hang_up()
            self._wire = None


async def exchange_once(port: int, request: bytes) -> Response:
    """Send a request on a connection of its own. Raises `Wrong`."""
    kept = Kept(port)
    try:
        return await kept.exchange(request)
    finally:
        kept.close()


def result_of(response: Response) -> Any:
    """Give the result that a good request got. Raises `Wrong`."""
    answer = msgspec.json.decode(response.body) if response.status == 200 else {}
    if "result" not in answer:
        raise Wrong(f"a good request got {response.status} {response.body!r}")
    return answer["result"]


class Subject:
    """Who is behind a port of this machine, `number`. Begins as a whole or not at all, and ends."""

    number: int
    kept: Kept

    def good_request(self) -> bytes:
        """Give one that is always answered with a result."""
        raise NotImplementedError

    async def begin(self, stack: contextlib.AsyncExitStack) -> None:
        """Begin; what is to end goes on the stack."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await self.begin(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


def check_answer(asked: bytes, response: Response, dialect: Dialect) -> str:
    """Check a response whose body is JSON-RPC, if there is any."""
    if response.status not in (200, 204) or (response.status == 204) != (response.body == b""):
        raise Wrong(f"status {response.status} with {response.body[:200]!r}")
    if response.body and response.headers.get(b"content-type") != b"application/json":
        raise Wrong(f"JSON that is called {response.headers.get(b'content-type')!r}")
    return check(asked, response.body or None, dialect)


class RawPort(Subject):
    """What the two ports for raw bytes have in common: how bytes are sent, and what may come back."""

    requests: RawRequests
    in_between: bytes

    def draw(self, draw: Random) -> RawInput:
        return self.requests.draw(draw)

    async def attempt(self, given: RawInput) -> str:
        """Send an input; in between others are answered, and at the end the connection is closed."""
        wire = await Wire.to(self.number)
        try:
            for piece in given.pieces:
                wire.send(piece)
                # By the time this one is answered the piece has been read too, and what it asked for is done.
                if (response := await self.kept.exchange(self.in_between)).status != 200:
                    raise Wrong(f"a good request in between got {response.status}")
            if given.ending is Ending.HALF_CLOSE:
                wire.say_no_more()
                await wire.end()
            return kind_of_answers(bytes(wire.received), given.whole)
        finally:
            wire.hang_up()


def kind_of_answers(received: bytes, asked: bytes) -> str:
    """Check what came back on a connection, whatever was sent, and say of what kind it was. Raises `Wrong`."""
    rest, statuses = bytearray(received), []
    while rest:
        response = take_response(rest, may_lack_body=b"HEAD " in asked)
        if response is None and rest.startswith(b"HTTP/1.0 400 "):
            statuses.append(
                400
            )  # closed with bytes unread, the connection is reset, and with it goes what is on its way
            break
        if response is None:
            raise Wrong(f"half an answer: {bytes(rest)!r}")
        if response.status >= 500 or 300 <= response.status < 400:
            raise Wrong(f"status {response.status}: {response.body!r}")
        if b"Traceback" in response.body:
            raise Wrong(f"a traceback: {response.body!r}")
        if response.headers.get(b"content-type") == b"application/json" and response.body:
            check_shape(response.body)
        statuses.append(response.status)
        if response.status == 101:
            break
    return "+".join(map(str, statuses[:2])) + "+…" * (len(statuses) > 2) or "closed"
