"""From the bytes that a callback sends to the HTTP answer that they are (RFC 9112), within bounds."""

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from protocol.methods import MAX_REPLY_BYTES
from server.callbacks.heads import END_OF_HEAD, MENDABLE, BadHead, describe, mend
from server.core.reply import Reply

MAX_HEAD_BYTES: Final = 32 * 1024
# A body that comes in chunks of one byte is six times as long on the wire; more than that is padding.
MAX_WIRE_BYTES: Final = MAX_HEAD_BYTES + 8 * MAX_REPLY_BYTES


class BadAnswer(Exception):
    """What came is no HTTP answer; `str()` says why, without a word of what it was."""


class AnswerReader:
    """Reads the answers of one connection, one after the other.

    `reusable` tells whether, after an answer, the connection may carry another exchange. Methods that begin with `on_`
    are called by the parser.
    """

    __slots__ = (
        "_body", "_has_head", "_headers", "_is_mended", "_parser", "_received", "_reply", "_size", "_unread",
        "reusable",
    )  # fmt: skip

    def __init__(self) -> None:
        """Begin before the first answer."""
        self.reusable = True
        self._parser = self._new_parser()
        self._is_mended = False
        self._unread = b""  # the head that is not complete yet
        self._received = 0
        self._reply: Reply | None = None
        self._clear()

    @property
    def begun(self) -> bool:
        """True when something of the present answer has come."""
        return self._received > 0

    def feed(self, data: bytes) -> Reply | None:
        """Take what has come; gives the answer when it is complete, or too large. Raises `BadAnswer`."""
        room = MAX_HEAD_BYTES - self._received
        if not 0 < room < len(data):
            return self._parse(data)
        # In two pieces, so that the bound is the same however the answer is cut.
        if (reply := self._parse(data[:room])) is None:
            return self._parse(data[room:])
        self.reusable = False
        return reply

    def _parse(self, data: bytes) -> Reply | None:
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.reusable = False
            if self._reply is None:  # after a complete answer, what follows does not matter
                self._mend(self._unread + data, str(error))
        if (reply := self._reply) is not None:
            self._reply = None
            self._received = 0
            return reply
        if self._received >= MAX_HEAD_BYTES and not self._has_head:
            raise BadAnswer("the head of the answer is too large")
        if not self._has_head:
            self._unread += data
        if self._size > MAX_REPLY_BYTES:
            return self._make_reply()
        if self._received > MAX_WIRE_BYTES:
            raise BadAnswer("the body of the answer is mostly padding")
        return None

    def _mend(self, data: bytes, reason: str) -> None:
        """Read a head that was refused once more, when it is complete, after mending what may be mended."""
        if self._is_mended or self._has_head or reason not in MENDABLE:
            raise BadAnswer(describe(reason, data))
        if END_OF_HEAD.search(data, max(0, len(self._unread) - len(b"\n\r"))) is None:
            return
        try:
            mended = mend(data)
        except BadHead as problem:
            raise BadAnswer(str(problem)) from None
        if mended is None:
            return
        self._clear()
        self._parser, self._is_mended = self._new_parser(), True
        try:
            self._parser.feed_data(mended)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self._reply is None:
                raise BadAnswer(describe(str(error), mended)) from None

    def _new_parser(self) -> HttpResponseParser:
        parser = HttpResponseParser(self)
        # A bare LF ends a line as well (section 2.2), and shell scripts that answer by hand have just that.
        parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        return parser

    def drop(self) -> None:
        """Let go of what has come: parser and reader hold each other, and may wait long for the garbage collector."""
        self._clear()

    def end(self) -> Reply | None:
        """Take the end of the connection; gives the answer if it is one that ends so (section 6.3)."""
        self.reusable = False
        return self._make_reply() if self._has_head and not self._has_length() else None

    def on_message_begin(self) -> None:
        """Note that another answer begins: nobody has asked for it."""
        if self._reply is not None:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. Trailers tell nothing here (RFC 9110, section 6.5.1), and small ones cost a lot of memory."""
        if not self._has_head:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note that the head is complete."""
        self._has_head = True

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body, up to the first that is too much."""
        if self._size <= MAX_REPLY_BYTES:
            self._body += data
            self._size += len(data)

    def on_message_complete(self) -> None:
        """Keep the first answer that is not an interim one (RFC 9110, section 15.2)."""
        if self._reply is not None:
            return
        if 100 <= self._parser.get_status_code() < 200 and not self._parser.should_upgrade():
            unread = self._unread
            self._clear()
            self._unread = unread
            return
        self.reusable = self.reusable and self._parser.should_keep_alive()
        self._reply = self._make_reply()
        self._clear()

    def _clear(self) -> None:
        self._has_head = False
        self._unread = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._size = 0

    def _make_reply(self) -> Reply:
        truncated = self._size > MAX_REPLY_BYTES
        self.reusable = self.reusable and not truncated
        body = bytes(self._body)
        status = self._parser.get_status_code()
        if 200 <= status < 300:
            return Reply(status, body, None, truncated)
        return Reply(status, body, self._header(b"retry-after"), truncated, self._header(b"date"))

    def _header(self, wanted: bytes) -> str | None:
        return next((value.decode("latin-1") for name, value in self._headers if name.lower() == wanted), None)

    def _has_length(self) -> bool:
        """Tell whether the end of the body is told by the head, and not by the end of the connection."""
        return any(
            name.lower() == b"content-length" or (name.lower() == b"transfer-encoding" and b"chunked" in value.lower())
            for name, value in self._headers
        )
