"""What a callback sends, as the HTTP answer that it is: whole, byte by byte, and cut wherever it can be cut."""

import random
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.methods import MAX_REPLY_BYTES
from server.callbacks.exchange import HttpResponse
from server.callbacks.http_response import MAX_HEAD_BYTES, MAX_WIRE_BYTES, BadResponse, ResponseParser

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"
PIECE = 4096  # bytes, where something long comes in pieces


def read(pieces: Iterable[bytes], *, end: bool = False) -> HttpResponse | None:
    """Feed the pieces, and the end of the connection if asked to; gives the first answer. Raises `BadResponse`."""
    reader = ResponseParser()
    for piece in pieces:
        if (response := reader.feed(piece)) is not None:
            return response
    return reader.end() if end else None


def outcome(pieces: Iterable[bytes], *, end: bool = True) -> HttpResponse | str | None:
    try:
        return read(pieces, end=end)
    except BadResponse:
        return "refused"


def one_by_one(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def in_pieces(data: bytes, size: int = PIECE) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def at_random(data: bytes, seed: int) -> Iterator[bytes]:
    dice = random.Random(seed)
    start = 0
    while start < len(data):
        size = dice.choice([1, 2, 3, 10, 100, 1500, 20_000])
        yield data[start : start + size]
        start += size


def ways(data: bytes) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Cut short data in all the ways there are to cut it once, long data in some, with the name of each way."""
    yield "whole", [data]
    if len(data) < 1000:
        yield "one by one", one_by_one(data)
        yield from ((f"cut at {at}", [data[:at], data[at:]]) for at in range(1, len(data)))
    else:
        yield "in pieces", in_pieces(data)
        yield from ((f"at random, {seed}", at_random(data, seed)) for seed in range(5))


def with_length(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


def in_chunks(body: bytes, size: int) -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in in_pieces(body, size))
    return CHUNKED + chunks + b"0\r\n\r\n"


def plain(status: int, body: bytes = b"{}", retry_after: str | None = None) -> HttpResponse:
    return HttpResponse(status, body, retry_after)


# Answers that end by themselves.

ANSWERS = [
    pytest.param(OK, plain(200), id="a length"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", plain(200, b""), id="a length of nothing"),
    pytest.param(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", plain(200), id="no reason"),
    pytest.param(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}", plain(200), id="an empty reason"),
    pytest.param(b"HTTP/1.1 200 \xe9t\xe9\r\nContent-Length: 2\r\n\r\n{}", plain(200), id="a reason in Latin-1"),
    pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", plain(200), id="HTTP/1.0 with a length"),
    pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", plain(200), id="bare LF"),
    pytest.param(b"HTTP/1.1 200 OK\nA: b\r\nContent-Length: 2\n\r\n{}", plain(200), id="LF and CRLF"),
    pytest.param(b"\r\n\r\n" + OK, plain(200), id="empty lines before it"),
    pytest.param(b"HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh:2\r\n\r\n{}", plain(200), id="any case, no space"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: \t 2 \r\n\r\n{}", plain(200), id="white space round a value"),
    pytest.param(b"HTTP/1.1 200 OK\r\nA:\r\nB: \r\nContent-Length: 2\r\n\r\n{}", plain(200), id="empty values"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0000002\r\n\r\n{}", plain(200), id="zeros before a length"),
    pytest.param(CHUNKED + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", plain(200), id="chunks"),
    pytest.param(CHUNKED + b"0\r\n\r\n", plain(200, b""), id="no chunks"),
    pytest.param(CHUNKED + b'1;a=b\r\n{\r\n1;c="d;e"\r\n}\r\n0;f\r\n\r\n', plain(200), id="extensions of chunks"),
    pytest.param(CHUNKED + b"1 \r\n{\r\n00001\r\n}\r\n0\r\n\r\n", plain(200), id="padded sizes of chunks"),
    pytest.param(CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", plain(200, b"0123456789"), id="A"),
    pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\nA: b\r\nC: d\r\n\r\n", plain(200), id="trailers"),
    pytest.param(CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n", plain(200, b"\r\n\r\n"), id="line ends in a chunk"),
    pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", plain(204, b""), id="204"),
    pytest.param(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", plain(204, b""), id="204 with a length"),
    pytest.param(b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", plain(304, b""), id="304 with a length"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK, plain(200), id="100"),
    pytest.param(b"HTTP/1.1 102 Processing\r\n\r\n" * 9 + OK, plain(200), id="102 again and again"),
    pytest.param(b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" + OK, plain(200), id="103"),
    pytest.param(b"HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n" + OK, plain(200), id="100 with a length"),
    pytest.param(b"HTTP/1.1 199 New\r\n\r\n" + OK, plain(200), id="an interim answer of the future"),
    pytest.param(
        b"HTTP/1.1 100 C\r\nRetry-After: 9\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n{}",
        plain(503),
        id="100 with Retry-After",
    ),
    pytest.param(
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", plain(101, b""), id="101"
    ),
    pytest.param(with_length(b"<p>", status=b"404 Not Found"), plain(404, b"<p>"), id="404"),
    pytest.param(with_length(b"", status=b"599 Odd"), plain(599, b""), id="599"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "response"), ANSWERS)
def test_an_answer_is_the_same_however_it_is_cut(data: bytes, response: HttpResponse) -> None:
    for way, pieces in ways(data):
        assert outcome(pieces, end=False) == response, way


@pytest.mark.parametrize(("data", "response"), ANSWERS)
def test_an_answer_is_there_with_its_last_byte_and_not_before(data: bytes, response: HttpResponse) -> None:
    reader = ResponseParser()
    assert reader.feed(data[:-1]) is None
    assert reader.begun
    assert reader.feed(data[-1:]) == response


@pytest.mark.parametrize("size", [0, 1, 2, 100, MAX_REPLY_BYTES - 1, MAX_REPLY_BYTES])
@pytest.mark.parametrize("chunk_size", [None, 1, 1000, MAX_REPLY_BYTES])
def test_a_body_of_up_to_64_kib_is_read(size: int, chunk_size: int | None) -> None:
    body = bytes(random.Random(size).randbytes(size))
    data = with_length(body) if chunk_size is None else in_chunks(body, chunk_size)
    for way, pieces in ways(data):
        assert outcome(pieces, end=False) == plain(200, body), way


TOO_LARGE = [
    pytest.param(with_length(b"a" * (MAX_REPLY_BYTES + 1)), id="length"),
    pytest.param(in_chunks(b"a" * (MAX_REPLY_BYTES + 1), MAX_REPLY_BYTES + 1), id="one chunk"),
    pytest.param(in_chunks(b"a" * (MAX_REPLY_BYTES + 1), 1000), id="chunks"),
    pytest.param(UNTIL_CLOSE + b"a" * (MAX_REPLY_BYTES + 1), id="until it closes"),
    pytest.param(with_length(b"a" * (3 * MAX_REPLY_BYTES)), id="three times as much"),
    pytest.param(with_length(b"a" * (MAX_REPLY_BYTES + 1), status=b"500 No"), id="500"),
]


@pytest.mark.parametrize("data", TOO_LARGE)
def test_a_body_of_more_than_64_kib_is_truncated(data: bytes) -> None:
    for way, pieces in [*ways(data), ("all but its end", [data[:-1], data[-1:]])]:
        response = read(pieces, end=False)
        assert response is not None, way
        assert response.truncated, way


@pytest.mark.parametrize("data", TOO_LARGE)
def test_nothing_follows_a_body_that_is_truncated(data: bytes) -> None:
    for way, pieces in ways(data):
        reader = ResponseParser()
        assert any(reader.feed(piece) for piece in pieces), way
        assert not reader.reusable, way


def test_of_a_body_that_is_too_large_no_more_is_kept_than_tells_that_it_is() -> None:
    response = read([in_chunks(b"a" * (3 * MAX_REPLY_BYTES), 1000)])
    assert response is not None
    assert len(response.body) <= MAX_REPLY_BYTES + 1000


def test_a_body_that_announces_too_much_is_read_up_to_64_kib() -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"a" * MAX_REPLY_BYTES
    reader = ResponseParser()
    assert all(reader.feed(piece) is None for piece in in_pieces(data))
    response = reader.feed(b"a")
    assert response is not None
    assert (response.truncated, len(response.body)) == (True, MAX_REPLY_BYTES + 1)


# Answers that end with the connection.


@pytest.mark.parametrize(
    ("data", "response"),
    [
        pytest.param(UNTIL_CLOSE + b"{}", plain(200), id="HTTP/1.1"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n{}", plain(200), id="HTTP/1.0"),
        pytest.param(b"HTTP/1.0 200 OK\n\n{}", plain(200), id="bare LF"),
        pytest.param(UNTIL_CLOSE, plain(200, b""), id="an empty body"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + UNTIL_CLOSE + b"{}", plain(200), id="after 100"),
        pytest.param(UNTIL_CLOSE + OK, plain(200, OK), id="a body that looks like an answer"),
        pytest.param(UNTIL_CLOSE + b"a" * MAX_REPLY_BYTES, plain(200, b"a" * MAX_REPLY_BYTES), id="64 KiB"),
        pytest.param(b"HTTP/1.1 503 No\r\nRetry-After: 7\r\n\r\n{}", plain(503, b"{}", "7"), id="Retry-After"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n{}", plain(200), id="another coding"),
    ],
)
def test_an_answer_without_a_length_ends_with_the_connection(data: bytes, response: HttpResponse) -> None:
    for way, pieces in ways(data):
        reader = ResponseParser()
        assert not any(reader.feed(piece) for piece in pieces), way
        assert reader.end() == response, way
        assert not reader.reusable, way


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\r\n", id="an empty line"),
        pytest.param(b"HTTP", id="a beginning"),
        pytest.param(b"HTTP/1.1 200 OK\r\nConte", id="half a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\r\n", id="all but the last line of a head"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="100"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", id="half a body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", id="none of the body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n{}", id="some of 16 EiB"),
        pytest.param(CHUNKED, id="no chunk"),
        pytest.param(CHUNKED + b"2", id="half the size of a chunk"),
        pytest.param(CHUNKED + b"2\r\n{", id="half a chunk"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n", id="no last chunk"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\nA: b\r\n", id="half a trailer"),
        pytest.param(CHUNKED + b"ffffffffffffffff\r\n{}", id="some of a chunk of 16 EiB"),
        pytest.param(CHUNKED.replace(b"chunked", b"gzip, Chunked") + b"2\r\n{}\r\n", id="no last chunk, gzip"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
            id="no last chunk, gzip, in two lines",
        ),
    ],
)
def test_what_has_not_ended_when_the_connection_does_is_no_answer(data: bytes) -> None:
    for way, pieces in ways(data):
        assert outcome(pieces, end=True) is None, way


# What is no answer.


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="SSH"),
        pytest.param(b"220 mail.example ESMTP\r\n", id="SMTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01", id="TLS"),
        pytest.param(b"POST /rpc HTTP/1.1\r\nHost: a\r\n\r\n", id="a request"),
        pytest.param(b"http/1.1 200 OK\r\n\r\n", id="http in small letters"),
        pytest.param(b"HTTP/3.7 200 OK\r\n\r\n", id="HTTP/3.7"),
        pytest.param(b"HTTP/1.1  200 OK\r\n\r\n", id="two spaces"),
        pytest.param(b"HTTP/1.1 99 Low\r\n\r\n", id="99"),
        pytest.param(b"HTTP/1.1 1000 High\r\n\r\n", id="1000"),
        pytest.param(b"HTTP/1.1 -20 Low\r\n\r\n", id="-20"),
        pytest.param(b"HTTP/1.1 abc\r\n\r\n", id="abc"),
        pytest.param(b"HTTP/1.1 101 Switching\r\n\r\n", id="101 to nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", id="no colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\n: nameless\r\n\r\n", id="no name"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}", id="a space before the colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\n folded: 1\r\n\r\n", id="a first line that is folded"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", id="NUL"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", id="CR in a value"),
        pytest.param(b"HTTP/1.1 200 OK\r\r\n\r\n", id="two CR"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", id="lengths in conflict"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n{}", id="an empty length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", id="a negative length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}", id="a length with a sign"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n{}", id="a length in hexadecimal digits"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2 0\r\n\r\n{}", id="a length with a gap"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}", id="a length in words"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\n{}", id="2**64 + 2"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n{}" % (b"9" * 500), id="9...9"),
        pytest.param(CHUNKED[:-2] + b"Content-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n", id="chunks and a length"),
        pytest.param(OK[:-4] + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", id="a length and chunks"),
        pytest.param(CHUNKED + b"zz\r\n", id="no size of a chunk"),
        pytest.param(CHUNKED + b"\r\n{}\r\n0\r\n\r\n", id="an empty size of a chunk"),
        pytest.param(CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n", id="a negative chunk"),
        pytest.param(CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n", id="0x before the size of a chunk"),
        pytest.param(CHUNKED + b"10000000000000002\r\n{}\r\n0\r\n\r\n", id="a chunk of 2**64 + 2"),
        pytest.param(CHUNKED + b"%b\r\n{}" % (b"f" * 500), id="a chunk of f...f"),
        pytest.param(CHUNKED + b"1\r\n{}\r\n0\r\n\r\n", id="a chunk that is longer than it says"),
    ],
)
def test_what_is_not_http_is_refused_however_it_is_cut(data: bytes) -> None:
    for way, pieces in ways(data):
        assert outcome(pieces) == "refused", way


def test_the_reason_of_a_refusal_says_nothing_of_what_came() -> None:
    with pytest.raises(BadResponse) as refused:
        ResponseParser().feed(b"HTTP/1.1 200 OK\r\nContent-Length: hidden\r\n\r\n")
    assert str(refused.value) == "the Content-Length of the response is not a number"
    assert refused.value.__cause__ is None


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", "the response is not HTTP", id="SSH"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x28", "is TLS, not HTTP: this port expects an https URL", id="TLS"),
        pytest.param(b"HTTP/2 200\r\n\r\n", "is not HTTP/1.1 or HTTP/1.0", id="version"),
        pytest.param(b"HTTP/1.1 OK\r\n\r\n", "no status of three digits", id="no status"),
        pytest.param(
            HEAD + b" A: b\r\n\r\n", "the status line of the response is followed by a folded line", id="fold"
        ),
        pytest.param(
            HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "two different Content-Length", id="2 and 3"
        ),
        pytest.param(HEAD + b"Content-Length: 2, 3\r\n\r\n{}", "two different Content-Length", id="2, 3"),
        pytest.param(HEAD + b"Content-Length: 2 0\r\n\r\n", "Content-Length of the response is not a number", id="gap"),
        pytest.param(HEAD + b"Content-Length: \r\n\r\n", "Content-Length of the response is not a number", id="empty"),
        pytest.param(HEAD + b"Content-Length: %b\r\n\r\n" % (b"9" * 99), "too large for any response", id="9...9"),
        pytest.param(
            HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "has both Content-Length and", id="both"
        ),
        pytest.param(HEAD + b"no colon\r\n\r\n", "has no colon", id="no colon"),
        pytest.param(HEAD + b"Server : a\r\n\r\n", "has no colon, or an invalid character", id="blank"),
        pytest.param(HEAD + b"A: b\0c\r\n\r\n", "has a control character", id="NUL"),
        pytest.param(HEAD + b"A: b\rc\r\n\r\n", "ends with CR alone", id="CR"),
        pytest.param(CHUNKED + b"zz\r\n", "size in hexadecimal digits", id="chunk size"),
        pytest.param(CHUNKED + b"1\r\n{}\r\n", "is longer than it says", id="long chunk"),
        pytest.param(b"HTTP/1.1 101 S\r\n\r\n", "changes to another protocol", id="101"),
    ],
)
def test_refusal_names_the_rule_that_was_broken(data: bytes, rule: str) -> None:
    for _, pieces in ways(data):
        with pytest.raises(BadResponse, match=rule):
            read(pieces)


def test_http_2_is_told_from_rubbish() -> None:
    with pytest.raises(BadResponse, match="the response is HTTP/2"):
        ResponseParser().feed(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00")


MENDED = [
    pytest.param(HEAD + b"A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}", plain(200), id="folded"),
    pytest.param(HEAD + b"A: b\n\tc\n\td\nContent-Length: 2\n\n{}", plain(200), id="folded twice, LF"),
    pytest.param(HEAD + b"Content-Length:\r\n 2\r\n\r\n{}", plain(200), id="a folded length"),
    # A folded line is part of the value before it, and hides no header.
    pytest.param(HEAD + b"Content-Length: 2\r\nA: b\r\n Content-Length: 9\r\n\r\n{}", plain(200), id="no header"),
    pytest.param(HEAD + b"Content-Length: 2\r\ncontent-length: 2\r\n\r\n{}", plain(200), id="equal lengths"),
    pytest.param(HEAD + b"Content-Length: 2, 2\r\n\r\n{}", plain(200), id="a list of equal lengths"),
    pytest.param(HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", plain(200), id="identity"),
    pytest.param(
        b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
        plain(200),
        id="after 100",
    ),
    pytest.param(
        b"\r\n" + HEAD.replace(b"200 OK", b"503 No") + b"A: b\r\n c\r\nRetry-After: 9\r\nContent-Length: 2\r\n\r\n{}",
        plain(503, retry_after="9"),
        id="503",
    ),
]


@pytest.mark.parametrize(("data", "response"), MENDED)
def test_head_that_may_be_read_in_one_way_only_is_taken(data: bytes, response: HttpResponse) -> None:
    for way, pieces in ways(data):
        reader = ResponseParser()
        replies = [found for piece in pieces if (found := reader.feed(piece)) is not None]
        assert replies == [response], way
        assert not reader.reusable


def test_head_that_is_refused_grows_no_further_than_32_kib() -> None:
    beginning = HEAD + b"A: b\r\n c"
    with pytest.raises(BadResponse, match="the head of the response is too large"):
        read(chain([beginning], repeat(b" x\n", MAX_HEAD_BYTES)))


# Bounds.


LARGE_HEADS = [
    pytest.param(b"HTTP/1.1 200 OK\r\nA: %b\r\n" % (b"b" * MAX_HEAD_BYTES), id="one header"),
    pytest.param(b"HTTP/1.1 200 OK\r\n%b: b\r\n" % (b"A" * MAX_HEAD_BYTES), id="one name"),
    pytest.param(b"HTTP/1.1 200 %b\r\n" % (b"b" * MAX_HEAD_BYTES), id="the reason"),
    pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (MAX_HEAD_BYTES // 6), id="many headers"),
    pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A:\r\n" * (MAX_HEAD_BYTES // 4), id="many empty headers"),
    pytest.param(b"HTTP/1.1 200 OK\r\nA:%bb\r\n" % (b" " * MAX_HEAD_BYTES), id="white space"),
    pytest.param(b"\r\n" * (MAX_HEAD_BYTES // 2) + b"HTTP/1.1 200 OK\r\n", id="empty lines"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 24) + OK[:-23], id="interim answers"),
    pytest.param(
        b"HTTP/1.1 103 Early\r\nA: %b\r\n\r\n" % (b"b" * 8000) * 4 + b"HTTP/1.1 200 OK\r\nA: %b\r\n" % (b"b" * 1000),
        id="headers of interim answers",
    ),
]  # fmt: skip


@pytest.mark.parametrize("beginning", LARGE_HEADS)
def test_a_head_of_more_than_32_kib_is_refused_however_it_is_cut(beginning: bytes) -> None:
    for way, pieces in ways(beginning + b"Content-Length: 2\r\n\r\n{}"):
        assert outcome(pieces) == "refused", way


@pytest.mark.parametrize("beginning", LARGE_HEADS)
def test_a_head_is_refused_before_it_has_ended(beginning: bytes) -> None:
    assert outcome(in_pieces(beginning, 1000), end=False) == "refused"


def test_a_head_of_almost_32_kib_is_read() -> None:
    data = with_length(b"{}", *([b"A: b"] * 5000), b"C: %b" % (b"d" * 2500))
    assert MAX_HEAD_BYTES - 500 < len(data) < MAX_HEAD_BYTES
    for way, pieces in ways(data):
        assert outcome(pieces) == plain(200), way


def test_a_long_head_takes_nothing_from_the_body() -> None:
    body = b"a" * MAX_REPLY_BYTES
    for way, pieces in ways(with_length(body, b"A: %b" % (b"b" * 30_000))):
        assert outcome(pieces) == plain(200, body), way


@pytest.mark.parametrize(
    ("beginning", "piece", "limit"),
    [
        pytest.param(b"", b"\r\n", MAX_HEAD_BYTES, id="empty lines"),
        pytest.param(b"HTTP/1.1 200 ", b"a" * 500, MAX_HEAD_BYTES, id="the reason"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", MAX_HEAD_BYTES, id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"A" * 500, MAX_HEAD_BYTES, id="the name of a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: ", b"b" * 500, MAX_HEAD_BYTES, id="a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: ", b" " * 500, MAX_HEAD_BYTES, id="white space"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", MAX_HEAD_BYTES, id="interim answers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: ", b"0" * 500, MAX_HEAD_BYTES, id="zeros of a length"),
        pytest.param(CHUNKED, b"0" * 500, MAX_WIRE_BYTES, id="zeros of the size of a chunk"),
        pytest.param(CHUNKED + b"1;", b"a" * 500, MAX_WIRE_BYTES, id="an extension of a chunk"),
        pytest.param(CHUNKED, b"1;%b\r\n \r\n" % (b"a" * 500), MAX_WIRE_BYTES, id="extensions of chunks"),
        pytest.param(CHUNKED, b"%b1\r\n \r\n" % (b"0" * 500), MAX_WIRE_BYTES, id="chunks with many zeros"),
        pytest.param(CHUNKED + b"0\r\n", b"A: %b\r\n" % (b"b" * 500), MAX_WIRE_BYTES, id="trailers"),
        pytest.param(CHUNKED + b"0\r\nA: ", b"b" * 500, MAX_WIRE_BYTES, id="a trailer"),
    ],
)
def test_what_does_not_end_is_refused_at_its_limit(beginning: bytes, piece: bytes, limit: int) -> None:
    reader, received = ResponseParser(), 0

    def feed_for_ever() -> None:
        nonlocal received
        for data in chain([beginning], repeat(piece, 2 * MAX_WIRE_BYTES // len(piece))):
            received += len(data)
            assert reader.feed(data) is None

    with pytest.raises(BadResponse):
        feed_for_ever()
    assert received <= limit + len(piece)


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        pytest.param(UNTIL_CLOSE, b"a" * 500, id="until it closes"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n", b"a" * 500, id="a length"),
        pytest.param(CHUNKED + b"ffffffffffffffff\r\n", b"a" * 500, id="a chunk"),
        pytest.param(CHUNKED, b"1f4\r\n%b\r\n" % (b"a" * 500), id="chunks"),
    ],
)
def test_a_body_that_does_not_end_is_truncated_at_its_limit(beginning: bytes, piece: bytes) -> None:
    response = read(chain([beginning], repeat(piece, 2 * MAX_WIRE_BYTES // len(piece))))
    assert response is not None
    assert response.truncated
    assert MAX_REPLY_BYTES < len(response.body) <= MAX_REPLY_BYTES + len(piece)


# Retry-After.

DATE = b"Fri, 15 Jan 2027 08:00:09 GMT"


@pytest.mark.parametrize(
    ("status", "headers", "value"),
    [
        pytest.param(b"503 No", [b"Retry-After: 120"], "120", id="503"),
        pytest.param(b"429 No", [b"Retry-After: 120"], "120", id="429"),
        pytest.param(b"301 Moved", [b"Retry-After: 120"], "120", id="301"),
        pytest.param(b"503 No", [b"rETRY-aFTER: 120"], "120", id="any case"),
        pytest.param(b"503 No", [b"Retry-After: 1", b"Retry-After: 2"], "1", id="twice: the first"),
        pytest.param(b"503 No", [b"X-Retry-After: 1", b"Retry-After-X: 2"], None, id="names that are longer"),
        pytest.param(b"503 No", [b"Retry-After: " + DATE], DATE.decode(), id="a date"),
        pytest.param(b"503 No", [b"Retry-After:"], "", id="empty"),
        pytest.param(b"503 No", [b"Retry-After: \xe9"], "\xe9", id="Latin-1"),
        pytest.param(b"503 No", [], None, id="none"),
        pytest.param(b"200 OK", [b"Retry-After: 120"], None, id="200"),
        pytest.param(b"202 Accepted", [b"Retry-After: 120"], None, id="202"),
    ],
)  # fmt: skip
def test_retry_after_is_told_for_what_is_not_2xx(status: bytes, headers: list[bytes], value: str | None) -> None:
    for way, pieces in ways(with_length(b"{}", *headers, status=status)):
        response = read(pieces)
        assert response is not None, way
        assert response.retry_after == value, way


@pytest.mark.parametrize(("status", "date"), [(b"503 No", DATE.decode()), (b"200 OK", None)])
def test_date_is_told_for_what_is_not_2xx(status: bytes, date: str | None) -> None:
    for way, pieces in ways(with_length(b"{}", b"Date: " + DATE, status=status)):
        response = read(pieces)
        assert response is not None, way
        assert response.date == date, way


# Whether the connection may carry another exchange.


@pytest.mark.parametrize(
    ("data", "reusable"),
    [
        pytest.param(OK, True, id="a length"),
        pytest.param(in_chunks(b"{}", 1), True, id="chunks"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", True, id="204"),
        pytest.param(b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", True, id="304"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK, True, id="after 100"),
        pytest.param(with_length(b"", status=b"500 No"), True, id="500"),
        pytest.param(with_length(b"{}", b"Connection: keep-alive"), True, id="keep-alive"),
        pytest.param(with_length(b"{}", b"Connection: x, y"), True, id="other options"),
        pytest.param(with_length(b"{}", b"Connection: close"), False, id="close"),
        pytest.param(with_length(b"{}", b"connection: CLOSE"), False, id="any case"),
        pytest.param(with_length(b"{}", b"Connection: x, close"), False, id="close in a list"),
        pytest.param(with_length(b"{}", b"Connection: x", b"Connection: close"), False, id="close in a second line"),
        pytest.param(CHUNKED[:-2] + b"Connection: close\r\n\r\n0\r\n\r\n", False, id="chunks that close"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", False, id="HTTP/1.0"),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", True, id="HTTP/1.0, keep-alive"
        ),
        pytest.param(
            b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", False, id="101"
        ),
    ],
)  # fmt: skip
def test_an_answer_tells_whether_the_connection_may_be_kept(data: bytes, *, reusable: bool) -> None:
    for way, pieces in ways(data):
        reader = ResponseParser()
        assert any(reader.feed(piece) for piece in pieces), way
        assert reader.reusable == reusable, way


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(OK, id="another answer"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="an interim answer"),
        pytest.param(b"H", id="the beginning of an answer"),
        pytest.param(b"{}", id="a longer body"),
        pytest.param(b"\0\xff", id="bytes"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: %b\r\n\r\n" % (b"b" * 2 * MAX_HEAD_BYTES), id="a long answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 100_000, id="a large answer"),
        pytest.param(b"a" * 100_000, id="much"),
    ],
)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK, id="a length"),
        pytest.param(in_chunks(b"{}", 2), id="chunks"),
        pytest.param(b"HTTP/1.1 100 C\r\n\r\n" + OK, id="after 100"),
    ],
)
def test_what_follows_an_answer_only_ends_the_connection(answer: bytes, rest: bytes) -> None:
    for at in range(len(answer)):
        reader = ResponseParser()
        assert reader.feed(answer[:at]) is None
        assert reader.feed(answer[at:] + rest) == plain(200)
        assert not reader.reusable


def test_what_follows_a_long_answer_ends_the_connection_as_well() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n"
    for length in range(MAX_HEAD_BYTES - 2, MAX_HEAD_BYTES + 3):
        answer = head + b"A: %b\r\n\r\n" % (b"b" * (length - len(head) - 30_007)) + b"a" * 30_000
        reader = ResponseParser()
        assert len(answer) == length
        assert reader.feed(answer + b"H") == plain(200, b"a" * 30_000)
        assert not reader.reusable


def test_an_empty_line_after_an_answer_is_nothing() -> None:
    reader = ResponseParser()
    assert reader.feed(OK + b"\r\n") == plain(200)
    assert reader.reusable


# One answer after the other.


def test_each_answer_is_read_as_if_it_were_the_first() -> None:
    answers = [
        (with_length(b"a" * MAX_REPLY_BYTES), plain(200, b"a" * MAX_REPLY_BYTES)),
        (with_length(b"", b"Retry-After: 9", status=b"503 No"), plain(503, b"", "9")),
        (with_length(b"{}", status=b"503 No"), plain(503)),
        (in_chunks(b"b" * MAX_REPLY_BYTES, 2), plain(200, b"b" * MAX_REPLY_BYTES)),
        (with_length(b"", *[b"A: %b" % (b"b" * 1000)] * 30), plain(200, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, plain(200)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", plain(204, b"")),
        (OK, plain(200)),
    ]
    reader = ResponseParser()
    for data, response in answers * 2:
        *before, last = in_pieces(data, 1000)
        assert not any(reader.feed(piece) for piece in before)
        assert reader.feed(last) == response
        assert reader.reusable


def test_whether_an_answer_has_begun_is_told_of_the_present_one() -> None:
    reader = ResponseParser()
    assert not reader.begun
    reader.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert reader.begun
    reader.feed(OK)
    assert not reader.begun
    reader.feed(b"H")
    assert reader.begun


def test_the_end_between_two_answers_is_no_answer() -> None:
    reader = ResponseParser()
    reader.feed(OK)
    assert reader.end() is None


# Anything.

FRAGMENTS = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 503 No\r\n", b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 101 Switching\r\n",
    b"HTTP/1.1 204 No\r\n", b"Content-Length: 2\r\n", b"Content-Length: 0\r\n", b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"Connection: close\r\n", b"Upgrade: a\r\n",
    b"Connection: upgrade\r\n", b"Retry-After: 1\r\n", b"A: b\r\n", b"A", b":", b" ", b"\t", b"\r\n", b"\r\n\r\n",
    b"\n", b"\r", b"0\r\n", b"2\r\n", b"{}", b"f", b";a=b", b"\0",
]  # fmt: skip


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=100)))
def test_of_any_bytes_comes_an_answer_or_a_refusal(pieces: list[bytes]) -> None:
    outcome(pieces)


@given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=30), st.data())
def test_what_comes_of_any_fragments_does_not_depend_on_their_cuts(fragments: list[bytes], draw: st.DataObject) -> None:
    data = b"".join(fragments)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    whole = outcome([data])
    assert outcome(pieces) == whole
    assert outcome(one_by_one(data)) == whole


HEADERS = [b"A: b", b"A:", b"B:\t b \t", b"Content-Type: application/json", b"C: \x80\xff", b"D: " + b"e" * 500]


@st.composite
def well_formed_answers(draw: st.DrawFn) -> tuple[bytes, HttpResponse]:
    """Make an answer as a server may send it, with interim ones before it, and the reply that it is."""
    end = draw(st.sampled_from([b"\r\n", b"\n"]))
    interim = draw(st.lists(st.sampled_from([b"100 Continue", b"102 Processing", b"103 Early Hints"]), max_size=2))
    before = b"".join(b"HTTP/1.1 %b%b%b" % (line, end, end) for line in interim)
    status = draw(st.sampled_from([200, 202, 299, 300, 404, 410, 429, 500, 503, 599]))
    retry_after = draw(st.none() | st.integers(0, 10**9).map(str))
    chunks = draw(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
    headers = draw(st.lists(st.sampled_from(HEADERS), max_size=3))
    if retry_after is not None:
        headers.append(b"Retry-After: " + retry_after.encode())
    if draw(st.booleans()):
        headers.append(b"Transfer-Encoding: chunked")
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    else:
        body = b"".join(chunks)
        headers.append(b"Content-Length: %d" % len(body))
    head = end.join([b"HTTP/1.1 %d Reason" % status, *draw(st.permutations(headers)), b"", b""])
    return before + head + body, HttpResponse(status, b"".join(chunks), None if status < 300 else retry_after)


@settings(max_examples=50)
@given(st.lists(well_formed_answers(), min_size=1, max_size=3), st.integers(1, 60))
def test_well_formed_answers_are_read_as_what_they_are(answers: list[tuple[bytes, HttpResponse]], size: int) -> None:
    reader = ResponseParser()
    for data, response in answers:
        *before, last = in_pieces(data, size)
        assert not any(reader.feed(piece) for piece in before)
        assert reader.feed(last) == response
        assert reader.reusable
