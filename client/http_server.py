"""The HTTP server of a client: serves the page and the callback endpoint."""

from typing import Final

from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong

from runtime.http_server import SERVER, HalfClosableHandler, http_problem, refuse_odd_expectations

MAX_HEADER_BYTES: Final = 64 * 1024  # a browser sends the cookies of all programs of this host, of any port
HEAD_TOO_LARGE: Final = (
    f"A header of this request is larger than {MAX_HEADER_BYTES // 1024} KiB. From a browser these are the cookies that"
    " programs on this host have left in it: delete the cookies of this host, or open the page by another of its names,"
    " such as http://127.0.0.1 instead of http://localhost.\n"
)


class HttpProtocol(HalfClosableHandler):
    """Explains to a browser with too many cookies why its request was refused."""

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
        handle = refuse_odd_expectations(made.request_handler)
        return HttpServer(handle, request_factory=made.request_factory, **made._kwargs)
