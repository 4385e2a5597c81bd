"""Response heads that llhttp refuses: rewrites those that RFC 9112 permits, and names the broken rule of the rest."""

import re
from typing import Final

FIRST_HEAD: Final = re.compile(rb"(?s)(?:\r?\n)*(.*?\r?\n)\r?\n")
END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
LINE_END: Final = re.compile(rb"\r?\n")
FOLD: Final = re.compile(rb"[ \t]*\r?\n[ \t]+")
LENGTH: Final = b"content-length"
CODING: Final = b"transfer-encoding"
INTERIM: Final = re.compile(rb"HTTP/\d\.\d 1\d\d[ \r\n]")

NO_HTTP: Final = "the response is not HTTP"
BAD_NAME: Final = "a header line of the response has no colon, or an invalid character in the name before it"
BAD_VALUE: Final = "a header value of the response has a control character"
BAD_LENGTH: Final = "the Content-Length of the response is not a number"
BAD_VERSION: Final = "the response is not HTTP/1.1 or HTTP/1.0"
BAD_STATUS: Final = "the status line of the response has no status of three digits from 100 to 999"
BAD_LINE_END: Final = "a line of the response's head ends with CR alone"
BAD_EXTENSION: Final = "a chunk of the response has an extension with an invalid character"
BAD_CHUNK_END: Final = "a chunk of the response is longer than it says, or does not end with CRLF"
LENGTH_AND_CODING: Final = "the response has both Content-Length and Transfer-Encoding"

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
    "Unexpected space after start line": "the status line of the response is followed by a folded line",
    "Unexpected whitespace after header value": "a header line of the response is folded",
    "Invalid header token": BAD_NAME,
    "Invalid header value char": BAD_VALUE,
    "Expected LF after CR": BAD_LINE_END,
    "Missing expected LF after header value": BAD_LINE_END,
    "Missing expected CR after header value": BAD_LINE_END,
    "Duplicate Content-Length": "the response has Content-Length more than once",
    "Empty Content-Length": BAD_LENGTH,
    "Invalid character in Content-Length": BAD_LENGTH,
    "Content-Length overflow": "the Content-Length of the response is too large for any response",
    "Transfer-Encoding can't be present with Content-Length": LENGTH_AND_CODING,
    "Content-Length can't be present with Transfer-Encoding": LENGTH_AND_CODING,
    "Invalid character in chunk size": "a chunk of the response does not begin with its size in hexadecimal digits",
    "Chunk size overflow": "a chunk of the response is too large for any response",
    "Expected LF after chunk size": "the size of a chunk of the response does not end with CRLF",
    "Expected LF after chunk data": BAD_CHUNK_END,
    "Invalid character in chunk extensions": BAD_EXTENSION,
    "Invalid character in chunk extensions name": BAD_EXTENSION,
    "Invalid character in chunk extensions value": BAD_EXTENSION,
    "Invalid character in chunk extensions quoted value": BAD_EXTENSION,
    "Invalid character in chunk extensions quote value": BAD_EXTENSION,
    "Pause on CONNECT/Upgrade": "the response changes to another protocol, which the request did not ask for",
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
    """A head that is ambiguous or breaks a rule. `str()` names the rule."""


def describe(reason: str, data: bytes) -> str:
    """Return the rule that a response breaks, from the reason that llhttp gives and the first bytes of the response."""
    rule = RULES.get(reason, NO_HTTP)
    if rule is NO_HTTP and data[:1] in (b"\x15", b"\x16"):  # an alert, a handshake (RFC 8446, section 5.1)
        return "the response is TLS, not HTTP: this port expects an https URL"
    if rule is NO_HTTP and data[2:4] == b"\x12\x04":  # a SETTINGS frame (RFC 9113, section 6.5), as servers begin
        return "the response is HTTP/2, not HTTP/1.1"
    return rule


def mend(data: bytes) -> bytes | None:
    """Return `data` with its head rewritten so that llhttp accepts it, or None while the head is incomplete.

    Interim responses before the head are removed. Raise `BadHead` if the head is ambiguous.
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
        raise BadHead("the status line of the response is followed by a folded line")
    return status_line + end + FOLD.sub(b" ", headers)


def _settle_length(lines: list[bytes]) -> list[bytes]:
    """Merge equal Content-Length values (RFC 9112, section 6.3); drop `identity` beside a length (RFC 2616, 3.6)."""
    lengths = {value.strip() for line in lines if _name(line) == LENGTH for value in _value(line).split(b",")}
    if len(lengths) > 1:
        raise BadHead("the response has two different Content-Length values")
    codings = [_value(line).lower() for line in lines if _name(line) == CODING]
    if lengths and any(coding != b"identity" for coding in codings):
        raise BadHead(LENGTH_AND_CODING)
    others = [line for line in lines if _name(line) != LENGTH and not (lengths and _name(line) == CODING)]
    return others + [b"Content-Length: " + length for length in lengths]


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def _value(line: bytes) -> bytes:
    return line.partition(b":")[2].strip()
