"""The table of error codes is the one of the contract."""

import msgspec
import pytest

from protocol.errors import ContractError, ErrorCode, invalid_params, message_of

CONTRACT = {
    -32700: "PARSE_ERROR",
    -32600: "INVALID_REQUEST",
    -32601: "METHOD_NOT_FOUND",
    -32602: "INVALID_PARAMS",
    -32603: "INTERNAL_ERROR",
    -32001: "UNAUTHORIZED",
    -32002: "AWAY",
    -32003: "TAKEN",
    -32004: "CALLBACK_UNREACHABLE",
    -32005: "ADDRESS_NOT_ALLOWED",
    -32006: "RATE_LIMITED",
    -32007: "TEXT_TOO_LONG",
    -32008: "JOIN_KEY_WRONG",
    -32010: "NOT_STORED",
}
SPECIFIED_MESSAGES = {
    -32700: "Parse error",
    -32600: "Invalid Request",
    -32601: "Method not found",
    -32602: "Invalid params",
    -32603: "Internal error",
}


def test_the_table_has_the_codes_of_the_contract_and_no_others() -> None:
    assert {row.value: row.name for row in ErrorCode} == CONTRACT


def test_the_specified_codes_carry_the_specified_messages() -> None:
    assert {row.value: row.message for row in ErrorCode if row.value in SPECIFIED_MESSAGES} == SPECIFIED_MESSAGES


def test_only_what_may_pass_by_itself_is_retryable() -> None:
    retryable = {row for row in ErrorCode if row.retryable}
    assert retryable == {
        ErrorCode.INTERNAL_ERROR,
        ErrorCode.CALLBACK_UNREACHABLE,
        ErrorCode.RATE_LIMITED,
        ErrorCode.NOT_STORED,
    }


def test_a_code_is_an_integer_on_the_wire() -> None:
    assert msgspec.json.encode(ErrorCode.TAKEN) == b"-32003"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ContractError(ErrorCode.AWAY), "Away: register again with your token (-32002)"),
        (ContractError(ErrorCode.TAKEN, {"field": "id"}), "Taken (-32003): {'field': 'id'}"),
    ],
)
def test_an_error_tells_its_story(error: ContractError, told: str) -> None:
    assert str(error) == told


def test_invalid_params_names_the_field_and_the_problem() -> None:
    error = invalid_params("name", "must not be empty")
    assert error.code is ErrorCode.INVALID_PARAMS
    assert error.data == {"field": "name", "problem": "must not be empty"}


@pytest.mark.parametrize(
    ("code", "data", "message"),
    [
        (ErrorCode.INVALID_PARAMS, {"field": "text", "problem": "must not be empty"}, "text must not be empty"),
        (ErrorCode.INVALID_PARAMS, {"field": None, "problem": "3 parameters given"}, "3 parameters given"),
        (ErrorCode.PARSE_ERROR, {"problem": "the body is not JSON"}, "the body is not JSON"),
        (ErrorCode.TAKEN, {"field": "name"}, "this name is in use"),
        (ErrorCode.TAKEN, {"field": "name", "retry_after_ms": 1}, "this name is kept for its owner, who is away"),
        (ErrorCode.RATE_LIMITED, {"retry_after_ms": 5, "detail": "wait"}, "wait"),
        (
            ErrorCode.CALLBACK_UNREACHABLE,
            {"url": "http://a/", "detail": "no address"},
            "http://a/: no address",
        ),
        (ErrorCode.TEXT_TOO_LONG, {"limit": 4096}, "at most 4096 characters"),
        (ErrorCode.INTERNAL_ERROR, {"error_id": "1a2b"}, "1a2b in the server's log"),
    ],
)
def test_message_holds_what_data_says(code: ErrorCode, data: dict[str, object], message: str) -> None:
    assert message_of(code, data) == ContractError(code, data).message == f"{code.message}: {message}"


@pytest.mark.parametrize("code", ErrorCode)
def test_message_without_data_is_that_of_the_table(code: ErrorCode) -> None:
    assert message_of(code, None) == message_of(code, {}) == code.message
