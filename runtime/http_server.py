"""aiohttp's HTTP server as server and client use it: half-closed connections, odd `Expect` headers, quiet logs."""

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, http_parser, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError

SERVER: Final = "Ringback"  # instead of aiohttp's name and version, which help only an attacker
UNEXPECTED: Final = "unsupported Expect header: only 100-continue is supported\n"
PYTHON_PARSER: Final = (
    "aiohttp parses HTTP in Python here, which is slow and has let requests be smuggled past a proxy. Unset"
    " AIOHTTP_NO_EXTENSIONS, or install aiohttp with its C extensions:"
    " pip install --force-reinstall --only-binary aiohttp aiohttp"
)

NOT_HTTP: Final = "malformed HTTP/1.1 request"
# A sentence of the parser. A quotation from the request, after a colon, is not repeated.
_RULE: Final = re.compile(r"(?:Bad status line:\n\s*)?([A-Z][A-Za-z '`-]+)(?:\.?$|:\n\n)")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def parser_problem() -> str | None:
    """Return what is wrong with the parser that aiohttp has chosen; None if it is the parser in C.

    aiohttp falls back on its parser in Python without a message. Advisories on that parser alone: CVE-2024-52304,
    CVE-2025-53643. The WebSocket reader is the same source, compiled or not, so it needs no check.
    """
    return PYTHON_PARSER if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy else None


def http_problem(told: str) -> str:
    """Return a line for the sender; it names the broken rule if `told`, the parser's error text, contains it."""
    rule = _RULE.match(told)
    return f"{NOT_HTTP} ({rule[1]})\n" if rule else f"{NOT_HTTP}\n"


class HalfClosableHandler(web.RequestHandler):
    """Sends the remaining responses to a caller that has shut down its sending side (RFC 9112, section 9.6).

    aiohttp closes a connection as soon as its caller half-closes it.
    """

    __slots__ = ()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio expects a bool; aiohttp returns None
        """Return True if responses are still to be written; the connection closes after the last of them.

        A WebSocket ends at once: its closing handshake does not half-close (RFC 6455, section 7.1.1).
        """
        if self._upgraded or self._is_waiting():
            return False
        self._close_after_last_response()
        return True

    def _is_waiting(self) -> bool:
        return not self._messages and (not self._request_count or self._waiter is not None)

    def _close_after_last_response(self, is_second_look: bool = False) -> None:
        if self._messages:
            message, payload = self._messages[-1]
            if isinstance(message, RawRequestMessage):
                self._messages[-1] = message._replace(should_close=True), payload
        elif self._current_request is not None:
            payload = self._current_request._payload
            self.close()
        elif is_second_look:  # the response is written; a missing part of the request's body will not arrive
            self.force_close()
            return
        else:  # the task of the request may not have started
            self._loop.call_soon(self._close_after_last_response, True)
            return
        if not payload.is_eof():
            payload.set_exception(web.RequestPayloadError("the caller has sent only a part of the body"))


def refuse_odd_expectations(handler: Handler) -> Handler:
    """Return a handler that responds with 417 (RFC 9110, section 10.1.1) to an Expect header that is not ASCII.

    aiohttp fails to encode such a header in its own response.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get(hdrs.EXPECT, "").isascii():
            return await handler(request)
        return web.Response(status=417, text=UNEXPECTED, headers={hdrs.SERVER: SERVER})

    return handle


def fault_of_peer(record: logging.LogRecord) -> Exception | None:
    """Return the error if aiohttp logs, with a traceback, a malformed or incomplete request or a lost connection."""
    error = record.exc_info[1] if record.exc_info else None
    return error if isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError) else None
