"""Parameters by position and by name, and what a caller is told when they do not fit."""

from typing import Any

import msgspec
import pytest
from msgspec import Struct

from protocol import messages
from protocol.errors import ContractError, ErrorCode
from protocol.messages import GetHistoryParams, NoParams, RegisterParams, SendMessageParams, UnregisterParams
from server.inbound.params import bind_params

SHAPES = [
    messages.RegisterParams,
    messages.UnregisterParams,
    messages.SendMessageParams,
    messages.GetHistoryParams,
    messages.ListMembersParams,
    messages.RenameParams,
]
GOOD = {"id": "a1", "user_id": "a1", "name": "Alice", "text": "hi"}


def encode(params: Any) -> bytes:
    return msgspec.json.encode(params)


def problem_of(params: Any, shape: type[Struct]) -> tuple[str | None, str]:
    with pytest.raises(ContractError) as caught:
        bind_params(encode(params), shape)
    assert caught.value.code is ErrorCode.INVALID_PARAMS
    assert caught.value.data is not None
    assert caught.value.data.keys() == {"field", "problem"}
    return caught.value.data["field"], caught.value.data["problem"]


@pytest.mark.parametrize(
    "params",
    [
        ["a1", "hi", "m-1"],
        {"user_id": "a1", "text": "hi", "client_msg_id": "m-1"},
        {"client_msg_id": "m-1", "text": "hi", "user_id": "a1"},
    ],
)
def test_parameters_come_by_position_or_by_name(params: Any) -> None:
    assert bind_params(encode(params), SendMessageParams) == SendMessageParams(
        user_id="a1", text="hi", client_msg_id="m-1"
    )


def test_all_of_register_can_come_by_position() -> None:
    given = ["a1", "Alice", ":80/", 5, "whsec_x", "key", ["ReceiveTyping"], 7]
    assert bind_params(encode(given), RegisterParams) == RegisterParams(
        id="a1",
        name="Alice",
        callback=":80/",
        max_batch=5,
        secret="whsec_x",
        join_key="key",
        accepts=["ReceiveTyping"],
        after=7,
    )


@pytest.mark.parametrize(
    "params", [["a1", "hi"], ["a1", "hi", None], {"user_id": "a1", "text": "hi", "client_msg_id": None}]
)
def test_null_for_an_optional_parameter_is_the_same_as_left_out(params: Any) -> None:
    assert bind_params(encode(params), SendMessageParams) == SendMessageParams(user_id="a1", text="hi")


def test_null_before_a_parameter_by_position_leaves_it_out() -> None:
    assert bind_params(b'[null, "Alice"]', RegisterParams) == RegisterParams(name="Alice")


@pytest.mark.parametrize("params", [[], {}])
def test_a_method_may_have_no_parameters(params: Any) -> None:
    assert bind_params(encode(params), NoParams) == NoParams()
    assert bind_params(encode(params), GetHistoryParams) == GetHistoryParams()


@pytest.mark.parametrize("params", [[], [None], {}, {"id": None}])
def test_a_required_parameter_that_is_missing_or_null_is_named(params: Any) -> None:
    field, problem = problem_of(params, UnregisterParams)
    assert field == "id"
    assert problem == "is required: a string of 1 to 64 of A-Z a-z 0-9 . _ -"


def test_the_first_parameter_that_does_not_fit_is_named() -> None:
    assert problem_of({"text": "", "user_id": ""}, SendMessageParams)[0] == "user_id"


@pytest.mark.parametrize(
    ("params", "field", "problem"),
    [
        ({"before": "7"}, "before", "must be an integer, 0 or more (at most 2^53)"),
        ({"after": -1}, "after", "must be an integer, 0 or more (at most 2^53)"),
        ({"limit": 301}, "limit", "must be an integer from 1 to 300"),
        ({"limit": True}, "limit", "must be an integer from 1 to 300"),
        ([None, None, 0], "limit", "must be an integer from 1 to 300"),
        ({"limit": 2.5}, "limit", "must be an integer from 1 to 300"),
        ({"limit": 301.0}, "limit", "must be an integer from 1 to 300"),
        ({"limit": 1e300}, "limit", "must be an integer from 1 to 300"),
        ({"before": 2.0**53 + 2}, "before", "must be an integer, 0 or more (at most 2^53)"),
        ({"limit": "2.0"}, "limit", "must be an integer from 1 to 300"),
        ({"limit": {"a": [1]}}, "limit", "must be an integer from 1 to 300"),
    ],
)
def test_a_value_that_does_not_fit_is_answered_with_what_would(params: Any, field: str, problem: str) -> None:
    assert problem_of(params, GetHistoryParams) == (field, problem)


def test_an_unknown_parameter_is_named_with_those_that_are_known() -> None:
    field, problem = problem_of({"user_id": "a1", "text": "hi", "room": "lobby"}, SendMessageParams)
    assert field == "room"
    assert problem == "is not a parameter of this method; it takes user_id, text, client_msg_id"


def test_an_unknown_parameter_is_refused_even_when_it_is_null() -> None:
    assert problem_of({"x": None}, NoParams) == ("x", "is not a parameter of this method; it takes none")


def test_a_long_unknown_name_is_not_sent_back_whole() -> None:
    assert problem_of({"x" * 100_000: 1}, NoParams)[0] == "x" * 64


@pytest.mark.parametrize("params", [["a1", "hi", "m-1", "more"], ["a1", "hi", None, None]])
def test_too_many_parameters_by_position_are_refused(params: Any) -> None:
    field, problem = problem_of(params, SendMessageParams)
    assert (field, problem) == (None, "4 parameters given; this method takes user_id, text, client_msg_id")


def test_a_parameter_without_a_description_is_the_programmers_mistake() -> None:
    class Undescribed(Struct):
        text: str

    with pytest.raises(TypeError, match="needs a description"):
        bind_params(b'["hi"]', Undescribed)


@pytest.mark.parametrize(("shape", "field"), [(shape, field) for shape in SHAPES for field in shape.__struct_fields__])
def test_every_parameter_can_say_what_it_must_be(shape: type[Struct], field: str) -> None:
    fitting = {name: GOOD[name] for name in shape.__struct_fields__ if name in GOOD}
    named, problem = problem_of(fitting | {field: {}}, shape)
    assert named == field
    assert problem.startswith("must be a")


@pytest.mark.parametrize("number", [b"100", b"100.0", b"1e2", b"1E+2", b"1000e-1"])
def test_integer_written_as_a_double_is_the_integer(number: bytes) -> None:
    expected = GetHistoryParams(after=100, limit=100)
    assert bind_params(b'{"after":%b,"limit":%b}' % (number, number), GetHistoryParams) == expected
    assert bind_params(b"[null,%b,%b]" % (number, number), GetHistoryParams) == expected


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"1e-400", b"9" * 5000, b"0." + b"9" * 5000])
def test_number_beyond_a_double_is_refused_with_what_would_fit(number: bytes) -> None:
    with pytest.raises(ContractError) as refused:
        bind_params(b'{"limit":%b}' % number, GetHistoryParams)
    assert refused.value.data == {"field": "limit", "problem": "must be an integer from 1 to 300"}


NO_TEXT = "must not contain U+0000 or half of a surrogate pair"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        (b'{"user_id":"a1","text":"a\\u0000b"}', "text"),
        (b'{"user_id":"a\\u0000","text":"b"}', "user_id"),
        (b'{"user_id":"a1","text":"b","client_msg_id":"\\u0000"}', "client_msg_id"),
        (b'["a1","\\\\\\u0000"]', "text"),
    ],
)
def test_text_with_u0000_is_refused_by_its_field(params: bytes, field: str) -> None:
    with pytest.raises(ContractError) as refused:
        bind_params(params, SendMessageParams)
    assert refused.value.data == {"field": field, "problem": NO_TEXT}


def test_text_that_tells_of_u0000_is_taken() -> None:
    assert bind_params(b'["a1","\\\\u0000"]', SendMessageParams).text == "\\u0000"


def test_parameter_name_with_u0000_is_an_unknown_parameter() -> None:
    with pytest.raises(ContractError) as refused:
        bind_params(b'{"\\u0000d83d":1,"user_id":"a1","text":"b"}', SendMessageParams)
    assert refused.value.data is not None
    assert refused.value.data["field"] == "\ufffdd83d"
