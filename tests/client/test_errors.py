import pytest

from client.errors import CallRefused, SeatMissing
from protocol.errors import ErrorCode

OF_THE_CALLER = (ErrorCode.PARSE_ERROR, ErrorCode.INVALID_REQUEST, ErrorCode.METHOD_NOT_FOUND)


@pytest.mark.parametrize("code", [code for code in ErrorCode if code not in OF_THE_CALLER], ids=lambda code: code.name)
def test_every_error_that_a_person_can_meet_is_a_sentence(code: ErrorCode) -> None:
    told = str(CallRefused(code, code.message))
    assert told.endswith((".", ")."))
    assert str(code.value) not in told


def test_a_bad_parameter_is_named_with_what_would_be_right() -> None:
    refused = CallRefused(-32602, "Invalid params", {"field": "name", "problem": "expected 1 to 32 characters"})
    assert str(refused) == "The server does not accept the name: expected 1 to 32 characters."


def test_who_cannot_be_called_is_told_where_why_and_what_to_do() -> None:
    data = {"url": "http://10.0.0.7:8080/rpc/x", "stage": "connect", "detail": "refused"}
    told = str(CallRefused(-32004, "Callback unreachable", data))
    for word in ("http://10.0.0.7:8080/rpc/x", "connect, refused", "NAT", "web page", "CHAT_CALLBACK"):
        assert word in told


def test_who_may_not_be_called_is_told_whom_to_ask() -> None:
    told = str(CallRefused(-32005, "Callback address not allowed"))
    assert "CHAT_CALLBACK_ALLOW" in told


def test_an_error_of_a_later_server_is_told_with_its_own_words() -> None:
    assert str(CallRefused(-32050, "Too late")) == "The server refused: Too late (-32050)."


def test_a_rate_limit_says_how_long_to_wait() -> None:
    assert CallRefused(-32006, "Rate limited", {"retry_after_ms": 250}).retry_after == 0.25
    assert CallRefused(-32006, "Rate limited", {"retry_after_ms": "soon"}).retry_after is None


def test_a_missing_seat_reads_as_the_servers_own_answer() -> None:
    assert SeatMissing().code == ErrorCode.AWAY
