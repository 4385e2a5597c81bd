"""Incremental parser of the HTTP/1.x responses of a callback (RFC 9112), with size limits."""

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from protocol.methods import MAX_REPLY_BYTES
from server.callbacks.exchange import HttpResponse
from server.callbacks.heads import END_OF_HEAD, MENDABLE, BadHead, describe, mend

MAX_HEAD_BYTES: Final = 32 * 1024
# A body in chunks of 1 byte is 6 times as long on the wire. Beyond 8 times, the rest is padding.
MAX_WIRE_BYTES: Final = MAX_HEAD_BYTES + 8 * MAX_REPLY_BYTES


class BadResponse(Exception):
    """The bytes are not an acceptable HTTP response. `str()` names the broken rule and never quotes the bytes."""


class ResponseParser:
    """Parses the responses of a connection in sequence.

    `reusable` is true while the connection may carry another exchange. httptools calls the methods that begin with
    `on_`.
    """

    __slots__ = (
        "_body", "_has_head", "_headers", "_is_mended", "_parser", "_received", "_reply", "_size", "_unread",
        "reusable",
    )  # fmt: skip

    def __init__(self) -> None:
        self.reusable = True
        self._parser = self._new_parser()
        self._is_mended = False
        self._unread = b""  # the bytes of an incomplete head
        self._received = 0
        self._reply: HttpResponse | None = None
        self._clear()

    @property
    def begun(self) -> bool:
        """True when the first byte of the current response has arrived."""
        return self._received > 0

    def feed(self, data: bytes) -> HttpResponse | None:
        """Parse `data`. Return the response when it is complete or its body is too large. Raise `BadResponse`."""
        room = MAX_HEAD_BYTES - self._received
        if not 0 < room < len(data):
            return self._parse(data)
        # Split at the limit, so that the limit does not depend on how the response is divided into packets.
        if (response := self._parse(data[:room])) is None:
            return self._parse(data[room:])
        self.reusable = False
        return response

    def _parse(self, data: bytes) -> HttpResponse | None:
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.reusable = False
            if self._reply is None:  # errors after a complete response do not matter
                self._mend(self._unread + data, str(error))
        if (response := self._reply) is not None:
            self._reply = None
            self._received = 0
            return response
        if self._received >= MAX_HEAD_BYTES and not self._has_head:
            raise BadResponse("the head of the response is too large")
        if not self._has_head:
            self._unread += data
        if self._size > MAX_REPLY_BYTES:
            return self._make_response()
        if self._received > MAX_WIRE_BYTES:
            raise BadResponse("the body of the response is mostly padding")
        return None

    def _mend(self, data: bytes, reason: str) -> None:
        """Once a refused head is complete, normalize it as `heads.mend` allows and parse it again."""
        if self._is_mended or self._has_head or reason not in MENDABLE:
            raise BadResponse(describe(reason, data))
        if END_OF_HEAD.search(data, max(0, len(self._unread) - len(b"\n\r"))) is None:
            return
        try:
            mended = mend(data)
        except BadHead as problem:
            raise BadResponse(str(problem)) from None
        if mended is None:
            return
        self._clear()
        self._parser, self._is_mended = self._new_parser(), True
        try:
            self._parser.feed_data(mended)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self._reply is None:
                raise BadResponse(describe(str(error), mended)) from None

    def _new_parser(self) -> HttpResponseParser:
        parser = HttpResponseParser(self)
        # RFC 9112, section 2.2 permits a bare LF as line end. Shell scripts that write a response often send it.
        parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        return parser

    def drop(self) -> None:
        """Release the buffers: parser and reader form a reference cycle, which the garbage collector frees late."""
        self._clear()

    def end(self) -> HttpResponse | None:
        """Handle the end of the connection. Return the response if its body ends that way (section 6.3)."""
        self.reusable = False
        return self._make_response() if self._has_head and not self._has_length() else None

    def on_message_begin(self) -> None:
        """Forbid reuse of the connection when an unsolicited response follows a complete response."""
        if self._reply is not None:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header. Ignore trailers (RFC 9110, section 6.5.1): many small trailers would cost a lot of memory."""
        if not self._has_head:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_body(self, data: bytes) -> None:
        """Store a piece of the body, up to the first piece beyond the size limit."""
        if self._size <= MAX_REPLY_BYTES:
            self._body += data
            self._size += len(data)

    def on_message_complete(self) -> None:
        """Store the first response that is not interim (1xx; RFC 9110, section 15.2)."""
        if self._reply is not None:
            return
        if 100 <= self._parser.get_status_code() < 200 and not self._parser.should_upgrade():
            unread = self._unread
            self._clear()
            self._unread = unread
            return
        self.reusable = self.reusable and self._parser.should_keep_alive()
        self._reply = self._make_response()
        self._clear()

    def _clear(self) -> None:
        self._has_head = False
        self._unread = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._size = 0

    def _make_response(self) -> HttpResponse:
        truncated = self._size > MAX_REPLY_BYTES
        self.reusable = self.reusable and not truncated
        body = bytes(self._body)
        status = self._parser.get_status_code()
        if 200 <= status < 300:
            return HttpResponse(status, body, None, truncated)
        return HttpResponse(status, body, self._header(b"retry-after"), truncated, self._header(b"date"))

    def _header(self, wanted: bytes) -> str | None:
        return next((value.decode("latin-1") for name, value in self._headers if name.lower() == wanted), None)

    def _has_length(self) -> bool:
        """Return true if the head determines where the body ends, and not the end of the connection."""
        return any(
            name.lower() == b"content-length" or (name.lower() == b"transfer-encoding" and b"chunked" in value.lower())
            for name, value in self._headers
        )
