"""JSON as other programs write it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from protocol.json_text import BYTE_ORDER_MARK, as_integer, convert, json_problem, mark_halves, unmark_halves


@pytest.mark.parametrize(
    ("body", "marked"),
    [
        (rb'"\ud83d"', rb'"\u0000d83d"'),
        (rb'"\uDE00"', rb'"\u0000DE00"'),
        (rb'"\ude00\ud83d"', rb'"\u0000de00\u0000d83d"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\u0000d83d\ud83d\ude00"'),
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d"', rb'"\\\u0000d83d"'),
        (rb'"\\ud83d\ude00"', rb'"\\ud83d\u0000de00"'),
        (rb'"\ud7ff\ue000\n\u0041"', rb'"\ud7ff\ue000\n\u0041"'),
        (rb'{"\ud83d":"\ud83d\n"}', rb'{"\u0000d83d":"\u0000d83d\n"}'),
        (rb'"\ud8zz', rb'"\ud8zz'),
        (b'"\\ud83d\\', b'"\\u0000d83d\\'),
    ],
)
def test_mark_halves_marks_halves_and_nothing_else(body: bytes, marked: bytes) -> None:
    assert mark_halves(body) == marked
    assert bytes(unmark_halves(Raw(marked))) == body


@settings(deadline=None, derandomize=True, database=None)
@given(st.text(st.characters(categories=("Cs", "Lu", "So"), include_characters='\\"\n')))
def test_mark_halves_makes_json_that_msgspec_reads(text: str) -> None:
    """Python's own reader takes halves, and joins those that are next to each other."""
    body = json.dumps(text).encode()
    assert "\ufffd" not in msgspec.json.decode(mark_halves(body), type=str)
    assert bytes(unmark_halves(Raw(mark_halves(body)))) == body


def test_mark_halves_of_a_mebibyte_of_escapes_is_linear() -> None:
    body = b'"\\ud83d' + b"\\n" * 500_000 + b'"'
    assert mark_halves(body) == body.replace(b"\\ud83d", b"\\u0000d83d")


@pytest.mark.parametrize(
    ("number", "integer"),
    [
        (b"2.0", 2),
        (b"1e2", 100),
        (b"1E+2", 100),
        (b"-0.0", 0),
        (b"50e-1", 5),
        (b"9007199254740992.0", 2**53),
        (b"9007199254740994.0", None),
        (b"2.5", None),
        (b"1e300", None),
        (b"1e400", None),
        (b"1" + b"0" * 600, None),
        (b'"2"', None),
        (b"true", None),
        (b"[2.0]", None),
    ],
)
def test_as_integer_takes_doubles_that_are_integers(number: bytes, integer: int | None) -> None:
    assert as_integer(number) == integer


class Point(msgspec.Struct):
    x: int
    further: list[int] = []
    y: float = 0.0


def test_convert_takes_doubles_for_integers_at_any_depth() -> None:
    assert convert({"x": 2.0, "further": [1.0, 2], "y": 1.5}, Point) == Point(2, [1, 2], 1.5)


@pytest.mark.parametrize("value", [{"x": 2.5}, {"x": "2"}, {"x": True}, {"x": 2.0, "further": [2.5]}, [2.0]])
def test_convert_refuses_everything_else(value: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        convert(value, Point)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        ("{}".encode("utf-16"), "is UTF-16"),
        ("{}".encode("utf-16-be"), "is UTF-16"),
        (b'{"a":"\xe4"}', "is not UTF-8"),
        (b"{", "is not JSON"),
    ],
)
def test_json_problem_says_what_is_wrong(body: bytes, problem: str) -> None:
    assert json_problem(body).startswith(problem)


def test_json_problem_of_a_mark_alone_is_that_of_an_empty_body() -> None:
    assert json_problem(BYTE_ORDER_MARK) == json_problem(b"")
