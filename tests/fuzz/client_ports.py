"""The client's port: what calls back, and raw bytes. (Its WebSocket is in `websocket.py`.)"""

import contextlib
import itertools
from random import Random
from typing import Final

from protocol.methods import MAX_PUSH_BATCH
from tests.fuzz import vocabulary
from tests.fuzz.bodies import Bodies
from tests.fuzz.judge import Dialect, Wrong, check_shape
from tests.fuzz.port import Kept, RawPort, Subject, check_answer, exchange_once, result_of
from tests.fuzz.raw_http import RawRequests, Request
from tests.fuzz.signed import WEBHOOK_IDS, Callbacks, Due, SignedInput, post, signed_lines
from tests.fuzz.subjects import COOKIE, SEAT, RunningClient, running_client, running_server
from tests.fuzz.wire import Response

OF_CALLBACK: Final = Dialect(max_batch=MAX_PUSH_BATCH)
UPGRADE: Final = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Cookie: %b=%b" % (COOKIE.encode(), b"c" * 43),
)


class ClientSide(Subject):
    """A client that is called back at a seat, with a real server behind its page."""

    async def begin(self, stack: contextlib.AsyncExitStack) -> None:
        server = await stack.enter_async_context(running_server())
        address = f"http://127.0.0.1:{server.port}"
        self.client: RunningClient = await stack.enter_async_context(running_client(address))
        self.number = self.client.port
        self.kept = Kept(self.number)
        stack.callback(self.kept.close)

    async def still_works(self) -> None:
        """See that a challenge comes back."""
        if result_of(await exchange_once(self.number, self.good_request())) != "c0ffee":
            raise Wrong("a challenge did not come back")

    def good_request(self) -> bytes:
        body = b'{"jsonrpc":"2.0","method":"VerifyCallback","params":{"challenge":"c0ffee"},"id":1}'
        return post(self.path.encode(), signed_lines(WEBHOOK_IDS[2], body), body)

    @property
    def path(self) -> str:
        return self.client.endpoint.path(SEAT)


class ClientCallback(ClientSide):
    """What is signed, and what is not, to the client's callback."""

    name = "client-callback"

    async def begin(self, stack: contextlib.AsyncExitStack) -> None:
        await super().begin(stack)
        self._callbacks = Callbacks(Bodies(vocabulary.of_callback()), self.path)
        self._numbers = itertools.count()

    def draw(self, draw: Random) -> SignedInput:
        return self._callbacks.draw(draw)

    async def attempt(self, given: SignedInput) -> str:
        if next(self._numbers) % 20 == 0:
            self.client.open_seat()
        response = await self.kept.exchange(given.whole)
        if given.due is Due.EITHER:
            self.kept.close()  # what was changed may have made two requests of one
        return check_due(given, response)


def check_due(given: SignedInput, response: Response) -> str:
    """Check that a POST got what it must get. Raises `Wrong`."""
    if len(given.body) > 2**20 and response.status == 413:
        return "413"
    is_refused = 400 <= response.status < 500
    if (given.due is Due.REFUSAL and is_refused) or (given.due is Due.WAIT and response.status == 503):
        return str(response.status)
    if given.due is Due.EITHER:
        return str(response.status) if is_refused else check_shape(response.body or None)
    if given.due is not Due.ANSWER:
        raise Wrong(f"status {response.status} instead of {given.due.value}")
    return check_answer(given.body, response, OF_CALLBACK)


class ClientRaw(ClientSide, RawPort):
    """Raw bytes to the client."""

    name = "client-raw"
    in_between = b"GET /static/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def begin(self, stack: contextlib.AsyncExitStack) -> None:
        await super().begin(stack)
        host = b"Host: 127.0.0.1:%d" % self.number
        body = b'{"jsonrpc":"2.0","method":"VerifyCallback","params":["x"],"id":1}'
        lines = tuple(b"%b: %b" % (name.encode(), value) for name, value in signed_lines(WEBHOOK_IDS[2], body).items())
        upgrade = (host, b"Origin: http://127.0.0.1:%d" % self.number, *UPGRADE)
        self.requests = RawRequests(
            (
                Request(b"POST", self.path.encode(), (host, *lines), body),
                Request(b"POST", self.path.encode(), (host, *lines), body + b" "),
                Request(b"GET", b"/", (host,)),
                Request(b"GET", b"/static/main.js", (host,)),
                Request(b"GET", b"/ws", upgrade),
            )
        )
