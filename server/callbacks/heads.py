"""Heads of answers that llhttp refuses: what RFC 9112 lets a recipient take, and the rules that others break."""

import re
from typing import Final

FIRST_HEAD: Final = re.compile(rb"(?s)(?:\r?\n)*(.*?\r?\n)\r?\n")
END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
LINE_END: Final = re.compile(rb"\r?\n")
FOLD: Final = re.compile(rb"[ \t]*\r?\n[ \t]+")
LENGTH: Final = b"content-length"
CODING: Final = b"transfer-encoding"
INTERIM: Final = re.compile(rb"HTTP/\d\.\d 1\d\d[ \r\n]")

NO_HTTP: Final = "the answer is not HTTP"
BAD_NAME: Final = "a header line of the answer has no colon, or a name with a character that no name has before it"
BAD_VALUE: Final = "a header value of the answer has a control character"
BAD_LENGTH: Final = "the Content-Length of the answer is not a number"
BAD_VERSION: Final = "the answer is not HTTP/1.1 or HTTP/1.0"
BAD_STATUS: Final = "the status line of the answer has no status of three digits from 100 to 999"
BAD_LINE_END: Final = "a line of the answer's head ends with CR alone"
BAD_EXTENSION: Final = "a chunk of the answer has an extension with a character that must not be there"
BAD_CHUNK_END: Final = "a chunk of the answer is longer than it says, or does not end with CRLF"
LENGTH_AND_CODING: Final = "the answer has both Content-Length and Transfer-Encoding"

RULES: Final = {
    "Expected HTTP/, RTSP/ or ICE/": NO_HTTP,
    "Expected HTTP/": NO_HTTP,
    "Expected dot": BAD_VERSION,
    "Invalid HTTP version": BAD_VERSION,
    "Invalid major version": BAD_VERSION,
    "Invalid minor version": BAD_VERSION,
    "Expected space after version": BAD_STATUS,
    "Invalid status code": BAD_STATUS,
    "Invalid response status": BAD_STATUS,
    "Unexpected space after start line": "the status line of the answer is followed by a folded line",
    "Unexpected whitespace after header value": "a header line of the answer is folded",
    "Invalid header token": BAD_NAME,
    "Invalid header value char": BAD_VALUE,
    "Expected LF after CR": BAD_LINE_END,
    "Missing expected LF after header value": BAD_LINE_END,
    "Missing expected CR after header value": BAD_LINE_END,
    "Duplicate Content-Length": "the answer has Content-Length more than once",
    "Empty Content-Length": BAD_LENGTH,
    "Invalid character in Content-Length": BAD_LENGTH,
    "Content-Length overflow": "the Content-Length of the answer is too large for any answer",
    "Transfer-Encoding can't be present with Content-Length": LENGTH_AND_CODING,
    "Content-Length can't be present with Transfer-Encoding": LENGTH_AND_CODING,
    "Invalid character in chunk size": "a chunk of the answer does not begin with its size in hexadecimal digits",
    "Chunk size overflow": "a chunk of the answer is too large for any answer",
    "Expected LF after chunk size": "the size of a chunk of the answer does not end with CRLF",
    "Expected LF after chunk data": BAD_CHUNK_END,
    "Invalid character in chunk extensions": BAD_EXTENSION,
    "Invalid character in chunk extensions name": BAD_EXTENSION,
    "Invalid character in chunk extensions value": BAD_EXTENSION,
    "Invalid character in chunk extensions quoted value": BAD_EXTENSION,
    "Invalid character in chunk extensions quote value": BAD_EXTENSION,
    "Pause on CONNECT/Upgrade": "the answer changes to another protocol, which nobody asked for",
}
MENDABLE: Final = {
    "Unexpected whitespace after header value",
    "Invalid header value char",
    "Duplicate Content-Length",
    "Invalid character in Content-Length",
    "Transfer-Encoding can't be present with Content-Length",
    "Content-Length can't be present with Transfer-Encoding",
}


class BadHead(Exception):
    """A head that cannot be read in one way only; `str()` names the rule that it breaks."""


def describe(reason: str, data: bytes) -> str:
    """Name the rule that an answer breaks, by the reason that llhttp gives and how the answer begins."""
    rule = RULES.get(reason, NO_HTTP)
    if rule is NO_HTTP and data[:1] in (b"\x15", b"\x16"):  # an alert, a handshake (RFC 8446, section 5.1)
        return "the answer is TLS, not HTTP: this port expects an https URL"
    if rule is NO_HTTP and data[2:4] == b"\x12\x04":  # a SETTINGS frame (RFC 9113, section 6.5), as servers begin
        return "the answer is HTTP/2, not HTTP/1.1"
    return rule


def mend(data: bytes) -> bytes | None:
    """Write the head that `data` begins with anew, so that llhttp takes it; None while it is not complete.

    Interim answers before it are left out. Raise `BadHead`.
    """
    while (found := FIRST_HEAD.match(data)) is not None:
        if INTERIM.match(found[1]):
            data = data[found.end() :]
            continue
        status_line, *lines = LINE_END.split(_unfold(found[1]))[:-1]
        return b"\r\n".join([status_line, *_settle_length(lines), b"", data[found.end() :]])
    return None


def _unfold(head: bytes) -> bytes:
    """Join folded lines with a space (RFC 9112, section 5.2)."""
    status_line, end, headers = head.partition(b"\n")
    if headers[:1] in (b" ", b"\t"):
        raise BadHead("the status line of the answer is followed by a folded line")
    return status_line + end + FOLD.sub(b" ", headers)


def _settle_length(lines: list[bytes]) -> list[bytes]:
    """Leave one of equal lengths (RFC 9112, section 6.3), and drop a coding that changes nothing (RFC 2616, 3.6)."""
    lengths = {value.strip() for line in lines if _name(line) == LENGTH for value in _value(line).split(b",")}
    if len(lengths) > 1:
        raise BadHead("the answer has two different Content-Length values")
    codings = [_value(line).lower() for line in lines if _name(line) == CODING]
    if lengths and any(coding != b"identity" for coding in codings):
        raise BadHead(LENGTH_AND_CODING)
    others = [line for line in lines if _name(line) != LENGTH and not (lengths and _name(line) == CODING)]
    return others + [b"Content-Length: " + length for length in lengths]


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def _value(line: bytes) -> bytes:
    return line.partition(b":")[2].strip()
