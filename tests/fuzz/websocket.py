"""The page's WebSocket: a tab by hand, and what it must be answered."""

import contextlib
import itertools
from random import Random
from typing import Any, Final

import msgspec

from client.faces.web.frames import MAX_FRAME_BYTES
from tests.fuzz import vocabulary
from tests.fuzz.bodies import Bodies
from tests.fuzz.client_ports import UPGRADE, ClientSide
from tests.fuzz.frames import CLOSE, PING, PONG, TEXT, FrameInput, Frames, frame, take_frame
from tests.fuzz.judge import Dialect, Wrong, check, check_shape, is_answered
from tests.fuzz.subjects import COOKIE
from tests.fuzz.wire import Wire

OF_PAGE: Final = Dialect(max_batch=0, max_bytes=MAX_FRAME_BYTES)
NOTICES: Final = frozenset({"Session", "ReceiveMessage", "ReceiveTyping"})
CLOSE_CODES: Final = range(1000, 1015)


class Tab:
    """One WebSocket."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._numbers = itertools.count()
        self.answers: list[bytes] = []
        self.pongs = 0
        self.closed: int | None = None

    @classmethod
    async def open(cls, port: int, cookie: bytes) -> "Tab":
        """Open the page's WebSocket as a browser does that has this cookie."""
        wire = await Wire.to(port)
        host = b"127.0.0.1:%d" % port
        lines = (b"GET /ws HTTP/1.1", b"Host: " + host, b"Origin: http://" + host, *UPGRADE[:-1])
        wire.send(b"\r\n".join((*lines, b"Cookie: %b=%b" % (COOKIE.encode(), cookie), b"", b"")))
        response = await wire.response()
        if response is None or response.status != 101:
            raise Wrong(f"no WebSocket was opened: {response}")
        return cls(wire)

    @property
    def is_over(self) -> bool:
        return self._wire.is_over or self.closed is not None

    def send(self, frames: bytes) -> None:
        """Send bytes."""
        self._wire.send(frames)

    def hang_up(self) -> None:
        """Close the connection without a word."""
        self._wire.hang_up()

    async def ask(self, method: str, **params: object) -> Any:
        """Ask something and give the answer; other answers are kept in `answers`. Raises `Wrong`."""
        identifier = f"good-{next(self._numbers)}"
        call = msgspec.json.encode({"jsonrpc": "2.0", "id": identifier, "method": method, "params": params})
        self.send(frame(TEXT, call))
        found: list[Any] = []

        def is_here() -> bool:
            for answer in self.read():
                decoded = msgspec.json.decode(answer)
                if decoded["id"] == identifier:
                    found.append(decoded)
                else:
                    self.answers.append(answer)
            return bool(found) or self.is_over

        await self._wire.until(is_here, "the answer to a good call")
        if not found:
            raise Wrong(f"the WebSocket was closed ({self.closed})")
        return found[0]

    async def has(self, answers: int, pongs: int) -> None:
        """Return when so much has come. Raises `Wrong`."""

        def is_here() -> bool:
            self.answers.extend(self.read())
            return (len(self.answers) >= answers and self.pongs >= pongs) or self.is_over

        await self._wire.until(is_here, "an answer")

    def read(self) -> list[bytes]:
        """Give what has come and is no notice; what is, is checked. Raises `Wrong`."""
        answers = []
        while self.closed is None and (taken := take_frame(self._wire.received)) is not None:
            opcode, payload = taken
            if opcode == TEXT and not is_notice(payload):
                check_shape(payload)
                answers.append(payload)
            elif opcode == PONG:
                self.pongs += 1
            elif opcode == CLOSE:
                self.closed = closing_code(payload)
            elif opcode not in (TEXT, PING):
                raise Wrong(f"a frame {opcode} from a server that sends none")
        return answers


def is_notice(payload: bytes) -> bool:
    """Tell whether this is a notification, as the page knows them. Raises `Wrong` for what is nothing."""
    try:
        told = msgspec.json.decode(payload)
    except ValueError as error:
        raise Wrong(f"a text that is not JSON: {payload!r}") from error
    return isinstance(told, dict) and set(told) == {"jsonrpc", "method", "params"} and told["method"] in NOTICES


def closing_code(payload: bytes) -> int:
    """Read why the server closes (RFC 6455, section 7.4). Raises `Wrong`."""
    code = int.from_bytes(payload[:2]) if payload else 1005
    if code not in CLOSE_CODES or code == 1011:
        raise Wrong(f"closed with {code}: {payload[2:]!r}")
    return code


class ClientWebSocket(ClientSide):
    """Frames to the page's WebSocket."""

    name = "client-websocket"

    async def begin(self, stack: contextlib.AsyncExitStack) -> None:
        await super().begin(stack)
        self._frames = Frames(Bodies(vocabulary.of_page()))
        self._guard = await self._new_tab(b"g")
        stack.callback(lambda: self._guard.hang_up())
        await self._guard.ask("Register", name="Guard")
        await _good(self._guard)
        self._tab = await self._new_tab(b"a")
        stack.callback(lambda: self._tab.hang_up())
        await self._tab.ask("Register", name="Alice")

    def draw(self, draw: Random) -> FrameInput:
        return self._frames.draw(draw)

    async def attempt(self, given: FrameInput) -> str:
        if self._tab.is_over:
            self._tab = await self._new_tab(b"a")
        self._tab.answers, self._tab.pongs = [], 0
        for piece in given.pieces:
            self._tab.send(piece)
            if len(given.pieces) > 1:
                await self._guard.ask("Nope")
        return await (self._lawful(given) if given.is_lawful else self._unlawful())

    async def still_works(self) -> None:
        await super().still_works()
        tab = await self._new_tab(b"g")
        await _good(tab)
        tab.hang_up()

    async def _lawful(self, given: FrameInput) -> str:
        tab, expects = self._tab, given.binaries
        if given.text is not None:
            expects += is_answered(given.text, OF_PAGE)
        await tab.ask("Nope")
        await tab.has(expects, given.pings)
        if tab.is_over:
            raise Wrong(f"closed ({tab.closed})")
        if len(tab.answers) != expects or tab.pongs != given.pings:
            raise Wrong(f"{len(tab.answers)} answers and {tab.pongs} pongs, not {expects} and {given.pings}")
        if given.text is None:
            return f"binary: {check_shape(tab.answers[0])}"
        return check(given.text, tab.answers[0] if tab.answers else None, OF_PAGE)

    async def _unlawful(self) -> str:
        """See that others are answered; the connection may be closed, and if not, is of no more use."""
        await self._guard.ask("Nope")
        tab = self._tab
        tab.answers.extend(tab.read())
        tab.hang_up()
        self._tab = await self._new_tab(b"a")
        if tab.closed is not None:
            return f"closed {tab.closed}"
        return "hung up on" if tab.is_over else "no end"

    async def _new_tab(self, letter: bytes) -> Tab:
        return await Tab.open(self.number, letter * 43)


async def _good(tab: Tab) -> None:
    answer = await tab.ask("GetHistory", limit=1)
    if "result" not in answer:
        raise Wrong(f"a good call got {answer}")
