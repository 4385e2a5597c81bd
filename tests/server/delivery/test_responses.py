"""What an HTTP answer of a callback means, line by line of the contract."""

import gzip
import json
from email.utils import formatdate
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.callbacks.exchange import Failed, HttpResponse
from server.delivery.responses import (
    Accepted,
    Gone,
    Outcome,
    Refused,
    accepts_all,
    judge_proof,
    judge_response,
    read_retry_after,
)

NOW = 1_800_000_000.0
DOZEN = list(range(41, 53))
CHALLENGE = "0123456789abcdef0123456789abcdef"


def result(identifier: Any, value: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "result": {"success": True} if value is None else value, "id": identifier}


def error(identifier: Any, code: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": {"code": code, "message": "no"}, "id": identifier}


def response(
    answer: Any, status: int = 200, *, truncated: bool = False, retry_after: str | None = None
) -> HttpResponse:
    body = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return HttpResponse(status, body, retry_after, truncated)


def judge(answer: Any, *seqs: int) -> Outcome:
    """Judge it, and see that the quick look at it does not say more than the close one."""
    outcome = judge_response(response(answer), seqs, NOW)
    assert outcome == Accepted(len(seqs)) or not accepts_all(response(answer), list(seqs))
    return outcome


def failed_at(outcome: Outcome | None) -> str:
    assert isinstance(outcome, Failed)
    return outcome.stage


@pytest.mark.parametrize(
    ("answer", "seqs"),
    [
        (result(7), [7]),
        (result(7, "ok"), [7]),
        ({"id": 7, "error": None, "result": {"success": True}, "more": [], "jsonrpc": "2.0"}, [7]),
        ([result(7), result(9)], [7, 9]),
        ([result(seq) for seq in DOZEN], DOZEN),
    ],
)
def test_the_usual_answer_needs_no_close_look(answer: Any, seqs: list[int]) -> None:
    assert accepts_all(response(answer), seqs)


@pytest.mark.parametrize(
    ("answer", "seqs"),
    [
        (response(result(7), 201), [7]),
        (response(result(7), 503), [7]),
        (response(result(7), truncated=True), [7]),
        (response([result(7)]), [7]),
        (response(result(7)), [7, 8]),
        (response([result(8), result(7)]), [7, 8]),
        (response([result(7), result(8), result(9)]), [7, 8]),
        (response(result(True)), [1]),
        (response(result("7")), [7]),
        (response(error(7, -32601)), [7]),
        (response(b""), [7]),
    ],
)
def test_any_other_answer_gets_one(answer: HttpResponse, seqs: list[int]) -> None:
    assert not accepts_all(answer, seqs)


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_2xx_and_a_result_with_the_right_id_is_taken(status: int) -> None:
    assert judge_response(response(result(7), status), [7], NOW) == Accepted(1)


@pytest.mark.parametrize("value", [{"success": True}, {"success": False}, {}, [], "ok", False, 0])
def test_any_result_is_taken(value: Any) -> None:
    assert judge(result(7, value), 7) == Accepted(1)


def test_a_result_that_is_null_is_taken() -> None:
    assert judge({"jsonrpc": "2.0", "result": None, "id": 7}, 7) == Accepted(1)


def test_a_result_beside_an_error_that_is_null_is_taken() -> None:
    assert judge(result(7) | {"error": None, "extra": 1}, 7) == Accepted(1)


@pytest.mark.parametrize("code", [-32600, -32601, -32602])
def test_an_error_that_says_that_the_message_is_of_no_use_counts_as_taken(code: int) -> None:
    assert judge(error(7, code), 7) == Accepted(1)


@pytest.mark.parametrize("code", [-32603, -32700, -32000, 0, 1, 2**40])
def test_any_other_error_is_a_refusal(code: int) -> None:
    assert judge(error(7, code), 7) == Accepted(0, code)


@pytest.mark.parametrize(
    "answer",
    [
        result(8),
        result("7"),
        result(7.5),
        result(True),
        result(None),
        result([7]),
        error(None, -32700),
        {"jsonrpc": "2.0", "result": 1},
        {"jsonrpc": "1.0", "result": 1, "id": 7},
        {"jsonrpc": 2.0, "result": 1, "id": 7},
        {"result": 1, "id": 7},
        {"jsonrpc": "2.0", "id": 7},
        result(7) | {"error": {"code": -32000, "message": "both"}},
        result(7) | {"error": "both"},
        error(7, "-32601"),
        error(7, None),
        error(7, True),
        error(7, 1.5),
        {"jsonrpc": "2.0", "error": "no", "id": 7},
        {"jsonrpc": "2.0", "error": None, "id": 7},
        [result(7)],
        [],
        {},
        None,
        True,
        7,
        "ok",
        b"",
        b"ok",
        b"<html>200 OK</html>",
        b'{"jsonrpc":"2.0","result":1,"id":7',
        b'{"jsonrpc":"2.0","result":NaN,"id":7}',
        b'{"jsonrpc":"2.0","result":"\xff","id":7}',
        b'{"jsonrpc":"2.0","result":"\\ud8zz","id":7}',
        json.dumps(result(7)).encode("utf-16"),
        b'{"jsonrpc":"2.0","id":7,"result":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"jsonrpc":"2.0","result":1,"id":7}' * 2,
    ],
)
def test_anything_else_in_a_2xx_is_a_failure(answer: Any) -> None:
    assert failed_at(judge(answer, 7)) == "rpc"


def test_true_is_not_the_id_1() -> None:
    assert failed_at(judge(result(True), 1)) == "rpc"


def test_an_answer_that_is_too_large_is_a_failure_even_if_what_was_read_is_good() -> None:
    assert failed_at(judge_response(response(result(7), truncated=True), [7], NOW)) == "rpc"


@pytest.mark.parametrize("status", [300, 304, 401, 403, 404, 405, 409, 411, 421, 429, 502, 503, 504])
def test_any_other_status_is_a_failure_whatever_the_body_says(status: int) -> None:
    outcome = judge_response(response(result(7), status), [7], NOW)
    assert outcome == Failed("http", f"HTTP status {status}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_a_failure_that_says_what_to_register(status: int) -> None:
    outcome = judge_response(response(result(7), status), [7], NOW)
    assert failed_at(outcome) == "http"
    assert isinstance(outcome, Failed)
    assert f"HTTP status {status}; the callback redirects" in outcome.detail


def test_410_is_a_farewell_whatever_the_body_says() -> None:
    assert judge_response(response(result(7), 410, truncated=True, retry_after="5"), [7], NOW) == Gone()


@pytest.mark.parametrize("status", [429, 503])
def test_429_and_503_may_ask_for_a_wait(status: int) -> None:
    outcome = judge_response(response(b"", status, retry_after="120"), [7], NOW)
    assert outcome == Failed("http", f"HTTP status {status}", retry_after=120)


@pytest.mark.parametrize("status", [400, 413, 422, 500, 501, 505, 521, 599])
def test_status_about_the_request_refuses_it_whatever_the_body_says(status: int) -> None:
    assert judge_response(response(result(7), status, retry_after="120", truncated=True), [7], NOW) == Refused(status)


@pytest.mark.parametrize("status", [200, 301, 408, 502])
def test_no_other_status_may(status: int) -> None:
    outcome = judge_response(response(b"", status, retry_after="120"), [7], NOW)
    assert isinstance(outcome, Failed)
    assert outcome.retry_after is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("3601", 3601),
        ("000000000000000120", 120),
        ("9" * 1000, float("inf")),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float) -> None:
    assert read_retry_after(value, None, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "soon", "-1", "+5", "1.5", "1e3", "0x10", "１２", "²", "1 2", "120s", "1_000", "\udcff"),
        "Fri, 15 Jan",
        "Fri, 99 Jan 2027 08:01:00 GMT",
        "Fri, 15 Jan 2027 08:01:00 +9999999",
        "Fri, 15 Jan 99999999999999999999 08:01:00 GMT",
    ],
)
def test_retry_after_that_is_neither_says_nothing(value: str | None) -> None:
    assert read_retry_after(value, None, NOW) is None


@pytest.mark.parametrize("wrong_by", [365 * 86_400, -365 * 86_400, 0])
def test_retry_after_date_counts_from_the_date_of_the_answer(wrong_by: int) -> None:
    """Whichever of the two clocks is wrong, the recipient asks for 90 seconds."""
    there = NOW + wrong_by
    answer = HttpResponse(503, b"", formatdate(there + 90, usegmt=True), date=formatdate(there, usegmt=True))
    assert judge_response(answer, [7], NOW) == Failed("http", "HTTP status 503", retry_after=90)


@pytest.mark.parametrize("date", ["", "today", "Fri, 99 Jan 2027 08:01:00 GMT"])
def test_retry_after_date_counts_from_now_where_the_date_of_the_answer_is_none(date: str) -> None:
    assert read_retry_after(formatdate(NOW + 90, usegmt=True), date, NOW) == 90


DATE_LIKE = st.lists(
    st.sampled_from(
        ["Fri,", "15", "Jan", "2027", "0001", "9999", "08:01:00", "99:99", "GMT", "-0000", "+99999", ".", "-"]
    )
    | st.integers().map(str)
    | st.text(max_size=3),
    max_size=8,
).map(" ".join)


@given(st.text() | DATE_LIKE, st.none() | st.text() | DATE_LIKE)
def test_no_retry_after_raises(value: str, date: str | None) -> None:
    seconds = read_retry_after(value, date, NOW)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("order", [DOZEN, DOZEN[::-1], DOZEN[5:] + DOZEN[:5]])
def test_a_batch_may_be_answered_in_any_order(order: list[int]) -> None:
    assert judge([result(seq) for seq in order], *DOZEN) == Accepted(12)


@pytest.mark.parametrize(
    ("answered", "taken"), [([41], 1), ([41, 42, 44], 2), ([44, 42, 41], 2), ([41, 43, 45, 47, 49, 51], 1)]
)
def test_the_longest_prefix_that_was_answered_is_taken(answered: list[int], taken: int) -> None:
    assert judge([result(seq) for seq in answered], *DOZEN) == Accepted(taken)


@pytest.mark.parametrize("answered", [[], [42], [42, 43, 44], [40]])
def test_without_an_answer_to_the_first_nothing_is_taken(answered: list[int]) -> None:
    assert failed_at(judge([result(seq) for seq in answered], *DOZEN)) == "rpc"


def test_an_error_that_counts_as_taken_does_not_end_the_prefix() -> None:
    assert judge([result(41), error(42, -32602), result(43)], 41, 42, 43) == Accepted(3)


def test_a_refusal_ends_the_prefix() -> None:
    assert judge([result(41), error(42, -32000), result(43)], 41, 42, 43) == Accepted(1, -32000)


def test_a_refusal_behind_a_gap_does_not_count_yet() -> None:
    assert judge([result(41), error(43, -32000)], 41, 42, 43) == Accepted(1)


def test_bad_elements_of_a_batch_spoil_only_themselves() -> None:
    answers: list[Any] = [7, None, [], result(41), {"id": 42}, error(None, -32600), result(99), result(42)]
    assert judge(answers, 41, 42) == Accepted(2)


@pytest.mark.parametrize(
    "answer",
    [
        error(None, -32600),
        error(None, -32601),
        error(41, -32601),
        error(41, -32000),
        {"error": {"code": 1}},
        result(41),
    ],
)
def test_one_object_for_a_whole_batch_is_a_failure(answer: Any) -> None:
    assert failed_at(judge(answer, 41, 42)) == "rpc"


VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ["2.0", 41, 42, 41.0, None, True, [], {}, {"code": -32000}, {"code": "x"}, "41", 2**64]
)
RESPONSES = st.dictionaries(st.sampled_from(["jsonrpc", "id", "result", "error"]), VALUES) | VALUES


@given(st.binary(max_size=80) | (RESPONSES | st.lists(RESPONSES, max_size=4)).map(msgspec.json.encode))
def test_no_body_raises(body: bytes) -> None:
    assert isinstance(judge(body, 41, 42), Accepted | Failed)


# VerifyCallback


@pytest.mark.parametrize("answer", [result(CHALLENGE, CHALLENGE), error(CHALLENGE, -32601)])
def test_the_challenge_or_an_unknown_method_with_the_right_id_proves_a_callback(answer: Any) -> None:
    assert judge_proof(response(answer), CHALLENGE, NOW) is None


@pytest.mark.parametrize(
    "answer",
    [
        result(CHALLENGE, "another"),
        result(CHALLENGE, {"success": True}),
        result(CHALLENGE, [CHALLENGE]),
        result(1, CHALLENGE),
        result(None, CHALLENGE),
        error(CHALLENGE, -32600),
        error(CHALLENGE, -32603),
        error(None, -32601),
        error("another", -32601),
        {"result": CHALLENGE, "id": CHALLENGE},
        [result(CHALLENGE, CHALLENGE)],
        [],
        CHALLENGE,
        CHALLENGE.encode(),
        b"",
        b"<html></html>",
    ],
)
def test_no_other_answer_does(answer: Any) -> None:
    assert failed_at(judge_proof(response(answer), CHALLENGE, NOW)) == "rpc"


@pytest.mark.parametrize("status", [301, 302, 400, 404, 410, 421, 429, 500, 503])
def test_no_other_status_does(status: int) -> None:
    assert failed_at(judge_proof(response(result(CHALLENGE, CHALLENGE), status), CHALLENGE, NOW)) == "http"


def test_an_answer_to_the_challenge_that_is_too_large_does_not_prove_a_callback() -> None:
    assert failed_at(judge_proof(response(result(CHALLENGE, CHALLENGE), truncated=True), CHALLENGE, NOW)) == "rpc"


def test_a_probe_may_be_told_to_wait() -> None:
    failure = judge_proof(response(b"", 503, retry_after="7"), CHALLENGE, NOW)
    assert failure == Failed("http", "HTTP status 503", retry_after=7)


@pytest.mark.parametrize("result", [b"1e400", b"9" * 5000, b'{"a":[1e400]}'])
def test_a_result_is_not_read(result: bytes) -> None:
    """Numbers that would be refused if they were read: 65,000 bytes of such take 40 ms, in which all others wait."""
    answer = response(b'{"jsonrpc":"2.0","id":7,"result":%b}' % result)
    assert accepts_all(answer, [7])
    assert judge_response(answer, [7], NOW) == Accepted(1)


def as_doubles(answer: Any) -> bytes:
    """Write every integer as a double, as Gson, Lua and Godot do."""
    return json.dumps(json.loads(msgspec.json.encode(answer), parse_int=float)).encode()


@pytest.mark.parametrize(
    ("answer", "seqs", "outcome"),
    [
        (result(7), [7], Accepted(1)),
        (result(100), [100], Accepted(1)),
        (result(2**53 - 1), [2**53 - 1], Accepted(1)),
        ([result(seq) for seq in DOZEN], DOZEN, Accepted(12)),
        ([result(41)], DOZEN, Accepted(1)),
        (error(7, -32602), [7], Accepted(1)),
        (error(7, -32000), [7], Accepted(0, -32000)),
    ],
)
def test_reply_with_doubles_for_integers_means_the_same(answer: Any, seqs: list[int], outcome: Outcome) -> None:
    body = as_doubles(answer)
    assert b".0" in body
    assert judge(body, *seqs) == judge_response(response(answer), seqs, NOW) == outcome


def test_reply_with_an_exponent_means_the_same() -> None:
    assert judge(b'{"jsonrpc":"2.0","result":1,"id":1E2}', 100) == Accepted(1)


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"jsonrpc":"2.0","result":1,"id":7}',
        b'{"jsonrpc":"2.0","result":{"said":"cut \\ud83d"},"id":7}',
        b'{"jsonrpc":"2.0","result":{"\\ude00":1},"id":7}',
        b'{"jsonrpc":"2.0","error":{"code":-32602,"message":"cut \\ud83d"},"id":7}',
        b'\xef\xbb\xbf{"jsonrpc":"2.0","result":"\\ud83d","id":7.0}',
        b'{"jsonrpc":"2.0","result":"\\u0000","id":7}',
    ],
)
def test_reply_with_a_mark_or_half_of_a_pair_is_taken(body: bytes) -> None:
    assert judge(body, 7) == Accepted(1)


def test_challenge_answered_behind_a_byte_order_mark_is_proven() -> None:
    body = b"\xef\xbb\xbf" + msgspec.json.encode(result(CHALLENGE, CHALLENGE))
    assert judge_proof(response(body), CHALLENGE, NOW) is None


@pytest.mark.parametrize("code", [-32000, -32603, -32602, 3])
def test_error_beside_a_null_result_means_the_same_as_without(code: int) -> None:
    """As sourcegraph's jsonrpc2, Go's net/rpc and other libraries write it."""
    answer = error(7, code)
    assert judge({**answer, "result": None}, 7) == judge(answer, 7)


def test_challenge_answered_by_an_unknown_method_beside_a_null_result_is_proven() -> None:
    assert judge_proof(response({**error(CHALLENGE, -32601), "result": None}), CHALLENGE, NOW) is None


def test_id_that_came_back_as_a_string_is_told_so() -> None:
    failed = judge(result("7"), 7)
    assert failed == Failed("rpc", "no response has the id 7; the id came back as a string, but must be a number")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the response has no body; expected a JSON-RPC response"),
        (b"\n<!DOCTYPE html><p>", "the response is a web page, not a JSON-RPC response"),
        (b"Accepted", "the response is not JSON"),
        (gzip.compress(b"{}", mtime=0), "the response is compressed (gzip); expected JSON without a Content-Encoding"),
        (b'{"ok":true}', 'the body is not a JSON-RPC response: expected "jsonrpc": "2.0", the id, and'),
    ],
)
def test_answer_that_is_no_response_is_told_what_it_is(body: bytes, detail: str) -> None:
    for failed in (judge(body, 7), judge_proof(response(body), CHALLENGE, NOW)):
        assert isinstance(failed, Failed)
        assert failed.detail.startswith(detail)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (json.dumps(result(CHALLENGE)).encode("utf-16"), "the response is UTF-16 or UTF-32; expected JSON in UTF-8"),
        (b'{"jsonrpc":"2.0","result":"\xe4"}', "the response is not UTF-8; expected JSON in UTF-8"),
        (msgspec.json.encode(result(7)), "the id in the response is not that of the request"),
    ],
)
def test_answer_in_another_encoding_is_told_so(body: bytes, detail: str) -> None:
    failed = judge_proof(response(body), CHALLENGE, NOW)
    assert isinstance(failed, Failed)
    assert failed.detail == detail


@pytest.mark.parametrize(
    ("status", "date", "detail"),
    [
        (401, formatdate(NOW + 400, usegmt=True), "HTTP status 401; its clock is 400 s ahead of this server's"),
        (401, formatdate(NOW - 400, usegmt=True), "HTTP status 401; its clock is 400 s behind this server's"),
        (401, formatdate(NOW + 300, usegmt=True), "HTTP status 401"),
        (401, "yesterday", "HTTP status 401"),
        (401, None, "HTTP status 401"),
    ],
)
def test_refusal_of_a_signature_with_clocks_apart_says_how_far(status: int, date: str | None, detail: str) -> None:
    answer = HttpResponse(status, b"", None, False, date)
    assert judge_response(answer, [7], NOW) == Failed("http", detail)
    assert judge_proof(answer, CHALLENGE, NOW) == Failed("http", detail)
