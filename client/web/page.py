"""The web face: serves the page, and gives every browser session that opens it a seat of its own.

Who may use it is settled here: the page answers only to its own host names (so no other name that somebody points at
this machine reads it: DNS rebinding), and to no request that another page made, as `Origin` tells (RFC 6454, 7). Who
comes by a link or by hand sends no such header; a page that opens the WebSocket always does (RFC 6455, 4.1).
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Final

from aiohttp import WSMsgType, hdrs, web

from client.participant import NewParticipant
from client.seat_file import by_cookie
from client.web.calls import answer
from client.web.errors import PageError, TooMany
from client.web.frames import MAX_FRAME_BYTES, NULL, error_frame
from client.web.icons import with_counts
from client.web.session import Session
from client.web.sessions import GRACE_SECONDS, MAX_SESSIONS, Sessions
from client.web.tab import Tab
from protocol.errors import ErrorCode

STATIC: Final = Path(__file__).parent / "static"
CONTENT_TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A page elsewhere neither embeds these files nor keeps a hand on the window that it opened (HTML, 7.1.3).
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
COOKIE_BYTES: Final = 32
COOKIE_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # COOKIE_BYTES, as secrets.token_urlsafe writes them
PORT_PATTERN: Final = re.compile(r":[0-9]{1,5}\Z")

HEARTBEAT_SECONDS: Final = 20.0
MAX_READ_BYTES: Final = 16 * MAX_FRAME_BYTES  # beyond, the connection is closed (1009); up to there, an answer says why
MAX_CALLS: Final = 16  # of one tab at a time; more are not read before one is answered
TRY_AGAIN_LATER: Final = 1013  # close codes: RFC 6455, 7.4, and the IANA WebSocket registry
BROKEN_OFF: Final = (None, 1006)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Page:
    """The page at `/`, its files under `/static/`, its WebSocket at `/ws`."""

    def __init__(
        self,
        new_participant: NewParticipant,
        *,
        hosts: Collection[str],
        server: str,
        cookie_name: str,
        max_sessions: int = MAX_SESSIONS,
        grace: float = GRACE_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Answer to `hosts`: `name` at any port, `name:port` at that port. `server` is shown to people."""
        self._hosts = frozenset(host.lower() for host in hosts)
        self._cookie_name = cookie_name
        self._files = {file.name: file.read_bytes() for file in STATIC.iterdir() if file.suffix in CONTENT_TYPES}
        self._files |= with_counts(self._files["icon.svg"])
        self._stopping = False

        def new_session(cookie: str) -> Session:
            return Session(new_participant, server, by_cookie(cookie))

        self.sessions = Sessions(new_session, limit=max_sessions, grace=grace, sleep=sleep)

    def add_to(self, app: web.Application) -> None:
        """Add the routes; when the application shuts down, every session leaves."""
        app.router.add_get("/", self._guarded(self._index))
        app.router.add_get("/static/{name}", self._guarded(self._static))
        app.router.add_get("/ws", self._guarded(self._websocket), allow_head=False)
        # Not on_cleanup: by then the connections to the server, which leaving needs, may be gone.
        app.on_shutdown.append(self._stop)

    async def _stop(self, _app: web.Application) -> None:
        self._stopping = True
        await self.sessions.end_all()

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            refused = self._refused(request)
            response = await handler(request) if refused is None else refused
            if not response.prepared:
                response.headers.update(SECURITY_HEADERS)
            return response

        return guarded

    def _refused(self, request: web.Request) -> web.Response | None:
        if not self._answers_to(request):
            return _refusal(421, WRONG_HOST)
        if hdrs.ORIGIN in request.headers and not _is_same_origin(request):
            return _refusal(403, "This page answers only to requests of its own address.")
        return None

    def _answers_to(self, request: web.Request) -> bool:
        host = request.headers.get(hdrs.HOST, "").lower()
        return host in self._hosts or PORT_PATTERN.sub("", host) in self._hosts

    async def _index(self, _request: web.Request) -> web.StreamResponse:
        return self._file("index.html")

    async def _static(self, request: web.Request) -> web.StreamResponse:
        return self._file(request.match_info["name"])

    def _file(self, name: str) -> web.Response:
        if name not in self._files:
            return _refusal(404, "There is no such file.")
        content_type = CONTENT_TYPES[Path(name).suffix]
        return web.Response(body=self._files[name], content_type=content_type, charset="utf-8")

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if hdrs.ORIGIN not in request.headers:  # no browser's
            return _refusal(403, "This WebSocket answers only to the page of its own address.")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_READ_BYTES, compress=False)
        if not _can_begin(socket, request):
            return _refusal(400, "This address is a WebSocket: open the page at / instead.")
        if self._stopping:
            return _refusal(503, "The program behind this page is stopping.")
        cookie = self._cookie(request, socket)
        socket.headers.update(SECURITY_HEADERS)
        await socket.prepare(request)
        tab = Tab(socket, request.transport.abort if request.transport else lambda: None)
        try:
            session = self.sessions.open(cookie, tab)
        except TooMany as error:
            await tab.close(TRY_AGAIN_LATER, str(error))
            return socket
        try:
            await _serve(session, tab, socket)
        finally:
            self.sessions.close(cookie, tab)
        return socket

    def _cookie(self, request: web.Request, socket: web.WebSocketResponse) -> str:
        """Give the browser's cookie, or a new one.

        It is set here, not with `/`: a browser that comes to `/` from a link elsewhere sends no SameSite=Strict cookie
        with that request, and would lose its seat to a new one.
        """
        cookie = request.cookies.get(self._cookie_name, "")
        if COOKIE_PATTERN.fullmatch(cookie):
            return cookie
        cookie = secrets.token_urlsafe(COOKIE_BYTES)
        socket.set_cookie(self._cookie_name, cookie, httponly=True, samesite="Strict", path="/")
        return cookie


WRONG_HOST: Final = (
    "This page does not answer to the host name it was asked by. Open it as http://localhost and its port, "
    "or add the name to CHAT_PAGE_HOSTS."
)


def _can_begin(socket: web.WebSocketResponse, request: web.Request) -> bool:
    try:
        return bool(socket.can_prepare(request))
    except ValueError:  # what aiohttp makes of a key that is not ASCII
        return False


def _refusal(status: int, words: str) -> web.Response:
    return web.Response(status=status, text=words + "\n")


def _is_same_origin(request: web.Request) -> bool:
    host = request.headers.get(hdrs.HOST, "").lower()
    return request.headers.get(hdrs.ORIGIN, "").lower() in {f"http://{host}", f"https://{host}"}


async def _serve(session: Session, tab: Tab, socket: web.WebSocketResponse) -> None:
    """Answer the calls of a tab until its connection ends."""
    writing = asyncio.create_task(tab.write())
    try:
        await _answer_calls(session, tab, socket)
    finally:
        writing.cancel()
        await asyncio.wait([writing])
        if socket.close_code in BROKEN_OFF:
            tab.cut()  # else what is still unwritten would keep a dead connection


async def _answer_calls(session: Session, tab: Tab, socket: web.WebSocketResponse) -> None:
    calls: set[asyncio.Task[None]] = set()
    async for frame in socket:
        if frame.type is not WSMsgType.TEXT:
            tab.post(error_frame(NULL, PageError(ErrorCode.INVALID_REQUEST, "Frames are text, one JSON value each.")))
            continue
        calls.add(asyncio.create_task(_answer(session, tab, frame.data)))
        if len(calls) >= MAX_CALLS:
            _, calls = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    # Those under way are not cut short: the server may have taken them, and a seat half taken would be nobody's.
    await asyncio.gather(*calls)


async def _answer(session: Session, tab: Tab, frame: str) -> None:
    answered = await answer(session, tab, frame)
    if answered is not None:
        tab.post(answered)
