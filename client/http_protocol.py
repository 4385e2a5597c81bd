"""aiohttp's HTTP server, with support for callers that half-close after their request (RFC 9112, section 9.6).

`server/inbound/connections.py` does the same for the server's port: server and client never import each other.
"""

from typing import Final

from aiohttp import hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong

from runtime.http_problem import http_problem

SERVER: Final = "Ringback"  # does not disclose the versions of aiohttp and Python
UNEXPECTED: Final = "unsupported Expect header: only 100-continue is supported\n"
MAX_HEADER_BYTES: Final = 64 * 1024  # a browser sends the cookies of all programs of this host, of any port
HEAD_TOO_LARGE: Final = (
    f"A header of this request is larger than {MAX_HEADER_BYTES // 1024} KiB. From a browser these are the cookies that"
    " programs on this host have left in it: delete the cookies of this host, or open the page by another of its names,"
    " such as http://127.0.0.1 instead of http://localhost.\n"
)


class HttpProtocol(web.RequestHandler):
    """Keeps a half-closed connection open until the last response is written; aiohttp closes it at once."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Return the response to an unreadable request; explain the remedy if its head is too large."""
        if message:
            message = HEAD_TOO_LARGE if isinstance(exc, LineTooLong) else http_problem(message)
        response = super().handle_error(request, status, exc, message)
        response.headers[hdrs.SERVER] = SERVER
        return response

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio expects a boolean; aiohttp returns None
        """Return True while responses are pending; the connection closes after the last response.

        A WebSocket ends at once: its protocol has no half-close (RFC 6455, section 7.1.1).
        """
        if self._upgraded or self._is_waiting():
            return False
        self._end_behind_the_last()
        return True

    def _is_waiting(self) -> bool:
        return not self._messages and (not self._request_count or self._waiter is not None)

    def _end_behind_the_last(self, is_second_look: bool = False) -> None:
        if self._messages:
            message, payload = self._messages[-1]
            if isinstance(message, RawRequestMessage):
                self._messages[-1] = message._replace(should_close=True), payload
        elif self._current_request is not None:
            payload = self._current_request._payload
            self.close()
        elif is_second_look:  # the response is written; the rest of the request's body cannot arrive
            self.force_close()
            return
        else:  # the task of the request may not have started
            self._loop.call_soon(self._end_behind_the_last, True)
            return
        if not payload.is_eof():
            payload.set_exception(web.RequestPayloadError("the caller closed the connection within the body"))


class HttpServer(web.Server):
    """Creates an `HttpProtocol` for each connection."""

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return HttpProtocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Serves an application with `HttpServer`.

    Responds with 417 (RFC 9110, section 10.1.1) to an `Expect` that is not ASCII: aiohttp fails to repeat it.
    """

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()  # also starts the application
        handler = made.request_handler

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            if request.headers.get(hdrs.EXPECT, "").isascii():
                return await handler(request)
            return web.Response(status=417, text=UNEXPECTED)

        return HttpServer(handle, request_factory=made.request_factory, **made._kwargs)
