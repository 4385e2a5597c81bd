"""The HTTP edge: POST /rpc, /healthz and /readyz."""

import asyncio
import contextlib
import traceback
from collections.abc import Sequence
from functools import partial
from typing import Final

from aiohttp import hdrs, web

from protocol.errors import ErrorCode
from protocol.jsonrpc import error_body
from protocol.methods import (
    ACCEPTED_CONTENT_TYPES,
    CONTENT_TYPE,
    HEALTH_PATH,
    MAX_BODY_BYTES,
    READY_PATH,
    REQUEST_READ_SECONDS,
    RPC_PATH,
)
from protocol.signing import ID_HEADER
from server.chat.methods import CallContext
from server.inbound.caller import HEADERS_OF_PROXIES, Caller, find_caller
from server.inbound.connections import Connection, connection_of
from server.inbound.dispatcher import JsonRpcDispatcher
from server.inbound.large_requests import LARGE_BYTES, LargeRequests, NoCapacity, Reservation
from server.net.addresses import IPNetwork, network_of

DISPATCHER: Final = web.AppKey("front", JsonRpcDispatcher)
RETRY_AFTER_DRAIN: Final = 5  # seconds
RETRY_AFTER_BUSY: Final = 1
STOPPING: Final = "the server is stopping"
JSON: Final = {hdrs.CONTENT_TYPE: CONTENT_TYPE}
GREETING: Final = (
    "This is a Ringback chat server. Programs POST JSON-RPC 2.0 to /rpc.\n"
    "To chat in a browser, open the page of a client (python -m client, or docker compose port client 8080).\n"
)
USAGE: Final = (
    "expected JSON-RPC 2.0 as application/json, for example: "
    """curl --json '{"jsonrpc":"2.0","method":"Register","params":{"name":"Alice"},"id":1}' http://HOST:9999/rpc"""
)


class RpcEndpoint:
    """The HTTP routes of the server. Refuses requests after `drain`."""

    def __init__(self, trusted_proxies: Sequence[IPNetwork], read_seconds: float = REQUEST_READ_SECONDS) -> None:
        """Limit the time to receive a request to `read_seconds`. `app[FRONT]` handles the body."""
        self._trusted_proxies = trusted_proxies
        self._read_seconds = read_seconds
        self._large = LargeRequests()
        self._draining = asyncio.Event()
        self._in_flight = 0
        self._reading: set[asyncio.Timeout] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def add_to(self, app: web.Application) -> None:
        """Add the routes to `app`."""
        app.router.add_get("/", self.greet)
        app.router.add_post(RPC_PATH, self.rpc)
        app.router.add_route(hdrs.METH_ANY, RPC_PATH, self.only_post)
        app.router.add_get(HEALTH_PATH, self.health)
        app.router.add_get(READY_PATH, self.ready)
        app.router.add_route(hdrs.METH_ANY, "/{path:.*}", self.elsewhere)

    async def drain(self) -> None:
        """Refuse new requests and requests with an incomplete body; return when the remaining requests are handled."""
        self._draining.set()
        for reading in self._reading:
            reading.reschedule(asyncio.get_running_loop().time())
        await self._quiet.wait()

    async def rpc(self, request: web.Request) -> web.Response:
        """Handle `POST /rpc`."""
        if self._draining.is_set():
            return _unavailable()
        self._in_flight += 1
        self._quiet.clear()
        try:
            return await self._answer(request)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._quiet.set()

    async def only_post(self, _request: web.Request) -> web.Response:
        """Refuse all other methods at `/rpc` with 405."""
        response = _closing(405, f"the method is not POST; {USAGE}")
        response.headers[hdrs.ALLOW] = hdrs.METH_POST
        return response

    async def elsewhere(self, request: web.Request) -> web.Response:
        """Refuse an unknown path with 404, for POST as a JSON-RPC error: the program has a wrong URL."""
        if request.method == hdrs.METH_POST:
            return _closing(404, f"unknown path; send JSON-RPC requests to {RPC_PATH}, without a trailing slash")
        raise web.HTTPNotFound

    async def greet(self, _request: web.Request) -> web.Response:
        """Return a text for a person who opens the server in a browser."""
        return web.Response(text=GREETING)

    async def health(self, _request: web.Request) -> web.Response:
        """Return 200 while the process runs."""
        return web.Response(text="ok\n")

    async def ready(self, _request: web.Request) -> web.Response:
        """Return 200 while requests are accepted, 503 while draining."""
        return _not_ready() if self._draining.is_set() else web.Response(text="ready\n")

    async def _answer(self, request: web.Request) -> web.Response:
        connection = connection_of(request)
        until = connection.head_received() if connection else None
        if (refusal := _refusal(request)) is not None:
            return refusal
        size = request.content_length or 0
        if size <= LARGE_BYTES and (request.content.is_eof() or request.content_length is not None):
            return await self._read_and_answer(request, connection, until)
        with self._large.reserve_for(network_of(self._caller(request).address)) as reservation:
            if not reservation.grow(size):
                return _busy()
            return await self._read_and_answer(request, connection, until, reservation)

    async def _read_and_answer(
        self,
        request: web.Request,
        connection: Connection | None,
        until: float | None,
        reservation: Reservation | None = None,
    ) -> web.Response:
        try:
            body = await self._read(request, until, reservation)
            if reservation is not None and len(body) > LARGE_BYTES:
                await self._pace(reservation.network, len(body))
        except TimeoutError:
            if self._draining.is_set():
                return _unavailable()
            problem = f"the request did not arrive within {self._read_seconds:g} s"
            return _closing(408, problem, ErrorCode.PARSE_ERROR)
        except web.HTTPRequestEntityTooLarge:
            return _too_large()
        except NoCapacity:
            return _busy()
        except (web.RequestPayloadError, ConnectionError):
            # An incomplete body or a lost connection is not a bug, so it is not logged with a traceback.
            return _closing(400, "the body could not be read: it is incomplete", ErrorCode.PARSE_ERROR)
        context = CallContext(
            partial(self._caller, request), _token(request), partial(_is_caller_connected, request, connection)
        )
        answer = await request.app[DISPATCHER].dispatch(body, context)
        if answer is None:
            return web.Response(status=204)
        return web.Response(body=answer, headers=JSON)

    async def _read(self, request: web.Request, until: float | None, reservation: Reservation | None) -> bytes:
        if request.content.is_eof():  # the body arrived with the head, as in almost all requests
            body = request.content.read_nowait()
            if len(body) > MAX_BODY_BYTES:
                raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES)
            return body
        if request.transport is None:  # the caller has hung up; `request.read` would raise a RuntimeError
            raise ConnectionResetError
        async with asyncio.timeout_at(until or asyncio.get_running_loop().time() + self._read_seconds) as reading:
            self._reading.add(reading)
            try:
                return (
                    await request.read()
                    if reservation is None or reservation.size
                    else await _read_growing(request, reservation)
                )
            except BaseException as error:
                # aiohttp keeps the error, whose frames hold the received bytes until the garbage collector runs.
                traceback.clear_frames(error.__traceback__)
                raise
            finally:
                self._reading.discard(reading)

    async def _pace(self, network: str, size: int) -> None:
        """Delay a large request if its network has sent much. Raise `TimeoutError` if the server drains meanwhile."""
        wait = self._large.owe(network, size, asyncio.get_running_loop().time())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._draining.wait()
        if wait and self._draining.is_set():
            raise TimeoutError

    def _caller(self, request: web.Request) -> Caller:
        forwarding = {
            name: ", ".join(request.headers.getall(name)) for name in HEADERS_OF_PROXIES if name in request.headers
        }
        return find_caller(request.remote or "", forwarding, self._trusted_proxies)


async def _read_growing(request: web.Request, reservation: Reservation) -> bytes:
    """Read a body without a Content-Length. Raise `NoCapacity`, `HTTPRequestEntityTooLarge`."""
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES)
        if len(body) > LARGE_BYTES and not reservation.grow(len(body)):
            raise NoCapacity
    return bytes(body)


def _is_caller_connected(request: web.Request, connection: Connection | None) -> bool:
    """Return False if the caller has hung up, or has shut down its sending side, which looks the same."""
    return request.transport is not None and not (connection and connection.is_half_closed)


def _refusal(request: web.Request) -> web.Response | None:
    """Return a refusal if the head alone shows that the request is invalid."""
    if ID_HEADER in request.headers:
        return _closing(421, "this is the URL of a server, not of a callback")
    if request.content_type not in ACCEPTED_CONTENT_TYPES:
        return _closing(415, f"the Content-Type is not application/json; {USAGE}")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        return _closing(415, "the body has a Content-Encoding; send it without compression")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        return _too_large()
    return None


def _token(request: web.Request) -> str | None:
    """Read `Authorization: Bearer TOKEN` (RFC 6750, section 2.1); any other form counts as no token."""
    values = request.headers.getall(hdrs.AUTHORIZATION, [])
    parts = values[0].split(" ") if len(values) == 1 else []
    if len(parts) == 2 and parts[0].lower() == "bearer" and parts[1].isascii():
        return parts[1] or None
    return None


def _too_large() -> web.Response:
    return _closing(413, f"a request may have at most {MAX_BODY_BYTES} bytes")


def _not_ready() -> web.Response:
    return web.Response(status=503, headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_DRAIN)}, text=f"{STOPPING}\n")


def _unavailable() -> web.Response:
    return _later(STOPPING, RETRY_AFTER_DRAIN)


def _busy() -> web.Response:
    response = _later("too many large requests are open", RETRY_AFTER_BUSY)
    response.force_close()
    return response


def _later(detail: str, seconds: int) -> web.Response:
    """Return a 503 response that asks to retry after `seconds`."""
    body = error_body(ErrorCode.RATE_LIMITED, {"retry_after_ms": 1000 * seconds, "detail": detail})
    return web.Response(status=503, body=body, headers={**JSON, hdrs.RETRY_AFTER: str(seconds)})


def _closing(status: int, problem: str, code: ErrorCode = ErrorCode.INVALID_REQUEST) -> web.Response:
    """Return an error response that closes the connection, because the body may be unread."""
    response = web.Response(status=status, body=error_body(code, {"problem": problem}), headers=JSON)
    response.force_close()
    return response
