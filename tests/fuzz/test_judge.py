"""The judge: what it lets pass, and that it lets nothing else pass."""

import pytest

from tests.fuzz.client_ports import OF_CALLBACK
from tests.fuzz.frames import frame, take_frame
from tests.fuzz.judge import Dialect, NotJson, Wrong, check, is_answered, nesting, read_json
from tests.fuzz.port import kind_of_answers
from tests.fuzz.server_ports import OF_SERVER
from tests.fuzz.websocket import OF_PAGE
from tests.fuzz.wire import take_response

CALL = b'{"jsonrpc":"2.0","method":"Ping","id":%b}'
NOTE = b'{"jsonrpc":"2.0","method":"Ping"}'
RESULT = b'{"jsonrpc":"2.0","result":{},"id":%b}'
ERROR = b'{"jsonrpc":"2.0","error":{"code":%b,"message":"no"},"id":%b}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"NaN",
        b"[1,]",
        b"01",
        b'"\xff"',
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_not_json_is_known(body: bytes) -> None:
    with pytest.raises(NotJson):
        read_json(body)


def test_numbers_stay_as_they_were_written() -> None:
    assert read_json(b"[1e400]") == ["1e400"]
    assert read_json(b'\xef\xbb\xbf["\\ud83d"]') == ["\ud83d"]
    assert read_json(b'[1.50,1e2,-0,"\\ud83d\\ude00"]') == ["1.50", "1e2", "-0", "\U0001f600"]


@pytest.mark.parametrize(
    ("asked", "answered", "kind"),
    [
        (CALL % b"1", RESULT % b"1", "result"),
        (CALL % b'"a"', ERROR % (b"-32601", b'"a"'), "error -32601"),
        (CALL % b"1.50", RESULT % b"1.50", "result"),
        (CALL % b"null", RESULT % b"null", "result"),
        (NOTE, None, "nothing"),
        (b"[%b,%b]" % (NOTE, NOTE), None, "nothing"),
        (b"[%b,%b,1]" % (CALL % b"7", NOTE), b"[%b,%b]" % (RESULT % b"7", ERROR % (b"-32600", b"null")), "batch"),
        (b"{", ERROR % (b"-32700", b"null"), "error -32700"),
        (b"[]", ERROR % (b"-32600", b"null"), "error -32600"),
        (b"[%b]" % b",".join([b"1"] * 101), ERROR % (b"-32600", b"null"), "error -32600"),
        (b"[" * 17 + b"]" * 17, ERROR % (b"-32600", b"null"), "error -32600"),
        (b'{"jsonrpc":2.0,"method":"Ping","id":7}', ERROR % (b"-32600", b"7"), "error -32600"),
        (b'{"jsonrpc":2.0,"method":"Ping","id":7}', ERROR % (b"-32600", b"null"), "error -32600"),
        (b'{"jsonrpc":"2.0","method":"Ping","id":[]}', ERROR % (b"-32600", b"null"), "error -32600"),
    ],
    ids=repr,
)
def test_a_right_answer_passes(asked: bytes, answered: bytes | None, kind: str) -> None:
    assert check(asked, answered, OF_SERVER) == kind
    assert is_answered(asked, OF_SERVER) == (answered is not None)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (CALL % b"1", None),
        (NOTE, RESULT % b"null"),
        (CALL % b"1", RESULT % b"2"),
        (CALL % b"1", RESULT % b'"1"'),
        (CALL % b"1.50", RESULT % b"1.5"),
        (CALL % b"1", RESULT % b"null"),
        (CALL % b"1", b"{"),
        (CALL % b"1", b"[%b]" % (RESULT % b"1")),
        (CALL % b"1", b'{"jsonrpc":"2.0","id":1}'),
        (CALL % b"1", b'{"jsonrpc":"2.0","result":1,"error":{"code":1,"message":""},"id":1}'),
        (CALL % b"1", b'{"jsonrpc":2.0,"result":1,"id":1}'),
        (CALL % b"1", b'{"jsonrpc":"2.0","result":1}'),
        (CALL % b"1", b'{"jsonrpc":"2.0","result":1,"id":[]}'),
        (CALL % b"1", b'{"jsonrpc":"2.0","error":{"code":"1","message":""},"id":1}'),
        (CALL % b"1", b'{"jsonrpc":"2.0","error":{"code":1.5,"message":""},"id":1}'),
        (CALL % b"1", b'{"jsonrpc":"2.0","error":{"code":1,"message":2},"id":1}'),
        (CALL % b"1", b'{"jsonrpc":"2.0","error":{"code":1},"id":1}'),
        (CALL % b"1", ERROR % (b"-32603", b"1")),
        (b"{", ERROR % (b"-32600", b"null")),
        (b"{", ERROR % (b"-32700", b"1")),
        (b"{", None),
        (b"[]", b"[]"),
        (b"[1]", ERROR % (b"-32600", b"null")),
        (b"[%b,%b]" % (CALL % b"1", CALL % b"2"), b"[%b]" % (RESULT % b"1")),
        (b"[%b,%b]" % (CALL % b"1", CALL % b"2"), b"[%b,%b]" % (RESULT % b"2", RESULT % b"1")),
        (b"[%b]" % NOTE, b"[]"),
        (b"1", RESULT % b"null"),
        (b"1", ERROR % (b"-32602", b"null")),
        (b'{"jsonrpc":"2.0","method":1,"id":7}', ERROR % (b"-32600", b"8")),
        (b"[" * 17 + b"]" * 17, ERROR % (b"-32700", b"null")),
    ],
    ids=repr,
)
def test_a_wrong_answer_does_not(asked: bytes, answered: bytes | None) -> None:
    with pytest.raises(Wrong):
        check(asked, answered, OF_SERVER)


@pytest.mark.parametrize(
    ("dialect", "asked", "answered"),
    [
        (OF_CALLBACK, b"[%b]" % b",".join([CALL % b"1"] * 101), b"[%b]" % b",".join([RESULT % b"1"] * 101)),
        (OF_PAGE, b"[%b]" % (CALL % b"1"), ERROR % (b"-32600", b"null")),
        (OF_PAGE, b" " * 65_537, ERROR % (b"-32600", b"null")),
    ],
    ids=repr,
)
def test_ports_differ_where_the_specification_lets_them(dialect: Dialect, asked: bytes, answered: bytes) -> None:
    check(asked, answered, dialect)
    with pytest.raises(Wrong):
        check(asked, answered, OF_SERVER)


def test_brackets_in_texts_do_not_nest() -> None:
    assert nesting(b'{"a":"%b"}' % (b"[" * 20)) == 1
    assert nesting(b"[" * 20 + b"]" * 20) == 20


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\nTraceback",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"hello\r\n\r\n",
    ],
    ids=repr,
)
def test_what_no_port_may_send_is_found(received: bytes) -> None:
    with pytest.raises(Wrong):
        kind_of_answers(received, b"GET / HTTP/1.1\r\n\r\n")


def test_answers_that_follow_each_other_are_told_apart() -> None:
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    other = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    assert kind_of_answers(one + other, b"") == "200+404"
    assert kind_of_answers(one[:-2] + other, b"HEAD / HTTP/1.1\r\n\r\n") == "200+404"
    assert kind_of_answers(one + b"HTTP/1.0 400 Bad Request\r\nCont", b"") == "200+400"
    assert kind_of_answers(b"", b"") == "closed"
    rest = bytearray(other + one)
    closing = take_response(rest)
    assert closing is not None
    assert closing.closes


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_is_read_as_a_whole_or_not_at_all(size: int) -> None:
    written = frame(1, b"x" * size, mask=None)
    assert take_frame(bytearray(written[:-1])) is None
    assert take_frame(bytearray(written)) == (1, b"x" * size)


def test_a_mask_is_laid_over_the_payload() -> None:
    assert frame(1, b"Hello", mask=b"\x37\xfa\x21\x3d").hex() == "818537fa213d7f9f4d5158"  # RFC 6455, section 5.7
