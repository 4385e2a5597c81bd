"""aiohttp's HTTP server, for a caller that shuts down its sending side after its request (RFC 9112, section 9.6).

server/connections.py does the same for the server's port: neither side imports the other.
"""

from typing import Final

from aiohttp import hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong

from runtime.http_problem import http_problem

SERVER: Final = "Ringback"  # strangers need not know which version of what this runs on
UNEXPECTED: Final = "nothing but 100-continue can be expected\n"
MAX_HEADER_BYTES: Final = 64 * 1024  # a browser sends the cookies of all programs of this host, whatever their port
HEAD_TOO_LARGE: Final = (
    f"A header of this request is larger than {MAX_HEADER_BYTES // 1024} KiB. From a browser these are the cookies that"
    " programs on this host have left in it: delete the cookies of this host, or open the page by another of its names,"
    " such as http://127.0.0.1 instead of http://localhost.\n"
)


class HttpProtocol(web.RequestHandler):
    """Keeps a half-closed connection until the last response is written; aiohttp closes it at once."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer a request that cannot be read; say what to do about a head that is too large."""
        if message:
            message = HEAD_TOO_LARGE if isinstance(exc, LineTooLong) else http_problem(message)
        response = super().handle_error(request, status, exc, message)
        response.headers[hdrs.SERVER] = SERVER
        return response

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks for a boolean; aiohttp has none to give
        """Return True if responses are still to be written; the connection closes behind the last of them.

        A WebSocket ends at once: nobody half-closes it (RFC 6455, section 7.1.1).
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
        elif is_second_look:  # the response is written; what may be missing of the request's body will not come
            self.force_close()
            return
        else:  # the task of the request may not have begun
            self._loop.call_soon(self._end_behind_the_last, True)
            return
        if not payload.is_eof():
            payload.set_exception(web.RequestPayloadError("the caller has sent only a part of the body"))


class HttpServer(web.Server):
    """Makes such protocols.

    It answers 417 (RFC 9110, section 10.1.1) to an Expect that aiohttp stumbles over when it wants to repeat it.
    """

    def __call__(self) -> web.RequestHandler:
        """Make the protocol of one connection."""
        return HttpProtocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Serves an application by `HttpServer`."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()  # starts the application, too
        handler = made.request_handler

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            if request.headers.get(hdrs.EXPECT, "").isascii():
                return await handler(request)
            return web.Response(status=417, text=UNEXPECTED)

        return HttpServer(handle, request_factory=made.request_factory, **made._kwargs)
