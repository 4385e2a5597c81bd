"""The web face: serves the page, and registers a participant for each browser session that opens it.

The page answers only to its own host names (`hosts.py`: DNS rebinding). Its files contain no personal data, and
`Cross-Origin-Resource-Policy` keeps other pages from reading them. Messages go over the WebSocket, which only the page
itself may open: `Origin`, which a browser always sends (RFC 6455, section 4.1), is checked.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Final

from aiohttp import WSMsgType, hdrs, web

from client.faces.text import printable
from client.faces.web.calls import answer
from client.faces.web.cookies import MAX_AGE_SECONDS, MAX_OTHERS, VALUE_BYTES, others, superfluous, value_of
from client.faces.web.errors import PageError, TooMany
from client.faces.web.frames import MAX_FRAME_BYTES, error_frame
from client.faces.web.hosts import PageHosts, host_of
from client.faces.web.icons import with_counts
from client.faces.web.session import Session
from client.faces.web.sessions import GRACE_SECONDS, MAX_SESSIONS, Sessions
from client.faces.web.tab import Tab
from client.session.participant import NewParticipant
from client.session.registration_file import by_cookie
from protocol.errors import ErrorCode
from protocol.jsonrpc import NULL

STATIC: Final = Path(__file__).parent / "static"
CONTENT_TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Foreign pages can neither embed these files nor keep a reference to a window that they opened (HTML, 7.1.3).
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

HEARTBEAT_SECONDS: Final = 20.0
MAX_READ_BYTES: Final = 16 * MAX_FRAME_BYTES  # larger frames close the connection (1009); up to here, an error says why
MAX_CALLS: Final = 16  # concurrent requests of a tab; beyond, reading waits until a request is answered
TRY_AGAIN_LATER: Final = 1013  # close codes: RFC 6455, section 7.4, and the IANA WebSocket registry
BROKEN_OFF: Final = (None, 1006)
MAX_WARNINGS: Final = 20  # different warnings; requests of strangers must not fill the log
MAX_SHOWN_CHARS: Final = 100  # of a header value in texts and in the log

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Page:
    """Serves `/` (the page), `/static/`, `/ws` (the WebSocket), and `/status` (why the WebSocket was refused)."""

    def __init__(
        self,
        new_participant: NewParticipant,
        *,
        hosts: Collection[str],
        server: str,
        cookie_name: str,
        former_cookie_name: str = "",
        asks_key: bool = False,
        max_sessions: int = MAX_SESSIONS,
        grace: float = GRACE_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Answer to `hosts`: `name` at any port, `name:port` at that port. The page shows `server`.

        `asks_key`: a newcomer has to enter the join key.
        """
        self._hosts = PageHosts(hosts)
        self._cookie_name = cookie_name
        self._former_cookie_name = former_cookie_name
        self._files = {file.name: file.read_bytes() for file in STATIC.iterdir() if file.suffix in CONTENT_TYPES}
        self._files |= with_counts(self._files["icon.svg"])
        self._warned: set[str] = set()
        self._stopping = False

        def new_session(cookie: str) -> Session:
            return Session(new_participant, server, by_cookie(cookie), asks_key=asks_key)

        self.sessions = Sessions(new_session, limit=max_sessions, grace=grace, sleep=sleep)

    def add_to(self, app: web.Application) -> None:
        """Add the routes, and end all sessions when the application shuts down."""
        app.router.add_get("/", self._guarded(self._index))
        app.router.add_get("/static/{name}", self._guarded(self._static))
        app.router.add_get("/ws", self._guarded(self._websocket), allow_head=False)
        app.router.add_get("/status", self._with_headers(self._status))
        app.router.add_get("/{below:.+}/", self._with_headers(self._below))
        # Not on_cleanup: leaving needs the connections to the server, which may be closed by then.
        app.on_shutdown.append(self._stop)

    async def _stop(self, _app: web.Application) -> None:
        self._stopping = True
        await self.sessions.end_all()

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            problem = self._host_problem(request)
            return await handler(request) if problem is None else _refusal(421, problem)

        return self._with_headers(guarded)

    def _with_headers(self, handler: Handler) -> Handler:
        async def with_headers(request: web.Request) -> web.StreamResponse:
            response = await handler(request)
            if not response.prepared:
                response.headers.update(SECURITY_HEADERS)
            return response

        return with_headers

    def _host_problem(self, request: web.Request) -> str | None:
        host = request.headers.get(hdrs.HOST, "")
        if self._hosts.include(host):
            return None
        self._warn(
            "Refused to serve the page as host %s, which is not in CHAT_PAGE_HOSTS; add it there, or make the proxy"
            " send a Host that is",
            host,
        )
        return (
            f"This page does not answer to the host name {_shown(host)}. Open it as http://localhost and its port, or"
            " add the name to CHAT_PAGE_HOSTS, a setting of the Ringback client that serves this page."
        )

    def _origin_problem(self, request: web.Request, origin: str) -> str | None:
        host = request.headers.get(hdrs.HOST, "")
        forwarded = ",".join(request.headers.getall(hdrs.X_FORWARDED_HOST, [])).split(",")
        if self._hosts.let(origin, host, forwarded):
            return None
        self._warn(
            "Refused the WebSocket to a page with Origin %s: the request had Host %s; if this is the page behind a"
            " proxy, add %s to CHAT_PAGE_HOSTS",
            origin,
            host,
            host_of(origin),
        )
        return (
            f"This page is at {_shown(origin)}, but its requests reach Ringback with Host: {_shown(host)}, as if from a"
            f" foreign page. Operator of Ringback: add {_shown(host_of(origin))} to CHAT_PAGE_HOSTS."
        )

    def _warn(self, words: str, *values: str) -> None:
        line = words % tuple(map(_shown, values))
        if line not in self._warned and len(self._warned) < MAX_WARNINGS:
            self._warned.add(line)
            logger.warning("%s", line)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        """Return why the page at `?origin=` may not open the WebSocket: a browser does not show a page the reason."""
        problem = self._host_problem(request) or self._origin_problem(request, request.query.get("origin", ""))
        return web.json_response({"problem": problem})

    async def _below(self, request: web.Request) -> web.StreamResponse:
        return _refusal(404, NOT_BELOW)

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
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_READ_BYTES, compress=False)
        refused = self._handshake_refusal(request, socket)
        if refused is not None:
            return refused
        cookie = self._cookie(request, socket)
        await self.sessions.parted(cookie)
        socket.headers.update(SECURITY_HEADERS)
        await socket.prepare(request)
        tab = Tab(socket, request.transport.abort if request.transport else lambda: None)
        try:
            session = self.sessions.open(cookie, tab)
        except TooMany as error:
            await tab.close(TRY_AGAIN_LATER, str(error))
            return socket
        session.other_keys = tuple(by_cookie(request.cookies[name]) for name in self._others(request))
        try:
            await _serve(session, tab, socket)
        finally:
            self.sessions.close(cookie, tab)
        return socket

    def _handshake_refusal(self, request: web.Request, socket: web.WebSocketResponse) -> web.Response | None:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:  # not a browser
            return _refusal(403, "This WebSocket accepts only its own page: the Origin header is missing.")
        problem = self._origin_problem(request, origin)
        if problem is not None:
            return _refusal(403, problem)
        if not _asks_to_upgrade(request):
            self._warn(
                "Refused the WebSocket to the page at %s: the header Upgrade did not arrive; make the proxy pass it on"
                " (nginx: proxy_http_version 1.1, and the headers Upgrade and Connection)",
                origin,
            )
            refusal = _refusal(426, "This address is a WebSocket: open the page at / instead.")
            refusal.headers[hdrs.UPGRADE] = "websocket"  # RFC 9110, section 15.5.22
            return refusal
        if not _can_begin(socket, request):
            return _refusal(400, "The request is not a WebSocket handshake (RFC 6455, section 4.1).")
        return _refusal(503, "This page is being restarted: try again soon.") if self._stopping else None

    def _cookie(self, request: web.Request, socket: web.WebSocketResponse) -> str:
        """Return the browser's cookie or a new one, and expire superfluous cookies in the response.

        The cookie is set here and not with `/`: a browser that follows a link from another site sends no
        SameSite=Strict cookie to `/`, so that a new cookie would replace the old one and its registration.
        """
        names = (self._cookie_name, self._former_cookie_name)
        cookie = value_of(request.cookies, names) or secrets.token_urlsafe(VALUE_BYTES)
        # Without a path, the browser uses the folder of the request's address (RFC 6265, section 5.1.4): behind a proxy
        # only the browser knows that address.
        socket.set_cookie(
            self._cookie_name,
            cookie,
            max_age=MAX_AGE_SECONDS,
            httponly=True,
            samesite="Strict",
            path="",
            secure=_is_https(request),
        )
        for name in superfluous(others(request.cookies, self._cookie_name), self._former_cookie_name):
            socket.del_cookie(name, path="")
        return cookie

    def _others(self, request: web.Request) -> list[str]:
        """Return the names of this browser's cookies for other pages on this host."""
        return others(request.cookies, self._cookie_name)[-MAX_OTHERS:]


NOT_BELOW: Final = (
    "There is no such page: Ringback's is at /. A proxy that serves it below a path has to remove that path (nginx:"
    " location /chat/ { proxy_pass http://HOST:8080/; } with the slash at the end)."
)


def _shown(value: str) -> str:
    """Return a header's value, shortened and escaped for texts and the log."""
    return printable(value[:MAX_SHOWN_CHARS]) or "(none)"


def _is_https(request: web.Request) -> bool:
    """Return whether the browser uses TLS, to this client or to the proxy in front of it."""
    forwarded = request.headers.get(hdrs.X_FORWARDED_PROTO, "").partition(",")[0].strip().lower()
    return request.secure or forwarded == "https" or request.headers[hdrs.ORIGIN].lower().startswith("https:")


def _asks_to_upgrade(request: web.Request) -> bool:
    asked = request.headers.get(hdrs.UPGRADE, ""), request.headers.get(hdrs.CONNECTION, "")
    return asked[0].lower() == "websocket" and "upgrade" in asked[1].lower()


def _can_begin(socket: web.WebSocketResponse, request: web.Request) -> bool:
    try:
        return bool(socket.can_prepare(request))
    except ValueError:  # raised by aiohttp if Sec-WebSocket-Key is not ASCII
        return False


def _refusal(status: int, words: str) -> web.Response:
    return web.Response(status=status, text=words + "\n")


async def _serve(session: Session, tab: Tab, socket: web.WebSocketResponse) -> None:
    """Answer the requests of a tab until its connection ends."""
    writing = asyncio.create_task(tab.write())
    try:
        await _answer_calls(session, tab, socket)
    finally:
        writing.cancel()
        await asyncio.wait([writing])
        if socket.close_code in BROKEN_OFF:
            tab.cut()  # else unwritten data would keep the dead connection open


async def _answer_calls(session: Session, tab: Tab, socket: web.WebSocketResponse) -> None:
    calls: set[asyncio.Task[None]] = set()
    async for frame in socket:
        if frame.type is not WSMsgType.TEXT:
            tab.post(error_frame(NULL, PageError(ErrorCode.INVALID_REQUEST, "A frame must be text with a JSON value.")))
            continue
        calls.add(asyncio.create_task(_answer(session, tab, frame.data)))
        if len(calls) >= MAX_CALLS:
            _, calls = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    # Requests in progress are not cancelled: the server may have accepted them, and a cancelled `Register` would leave
    # a registration that no session owns.
    await asyncio.gather(*calls)


async def _answer(session: Session, tab: Tab, frame: str) -> None:
    answered = await answer(session, tab, frame)
    if answered is not None:
        tab.post(answered)
