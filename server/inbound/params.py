"""Decodes the `params` of a JSON-RPC request into the parameter class of its method."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar, cast, get_args, get_type_hints

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import FieldInfo, fields

from protocol.errors import invalid_params
from protocol.json_text import NO_TEXT, NUL, as_integer

S = TypeVar("S", bound=Struct)
SHOWN_CHARS = 64
NULL: Final = Raw(b"null")
BY_NAME: Final = msgspec.json.Decoder(dict[str, Raw])
BY_POSITION: Final = msgspec.json.Decoder(list[Raw])


class Field(NamedTuple):
    """A parameter. `description` completes the error text "must be …"."""

    name: str
    type: Any
    required: bool
    description: str


def bind_params(params: bytes, shape: type[S]) -> S:
    """Return `params` as an instance of `shape`. Raise -32602 that names the field and the expected value.

    `params` is the JSON text of an array or object without leading white space. Null for an optional parameter counts
    as absent. The value of an unknown parameter is not decoded, which could take long.
    """
    table = _fields_of(shape)
    has_nul = b"\\u0000" in params
    if params.startswith(b"{"):
        try:
            if not has_nul:
                return cast("S", _decoder_of(shape).decode(params))
        except msgspec.ValidationError:
            pass  # the code below finds the wrong field
        given = BY_NAME.decode(params)
    else:
        given = _by_name(BY_POSITION.decode(params), table)
    if unknown := given.keys() - table.keys():
        field = min(unknown)[:SHOWN_CHARS].replace("\0", "\ufffd")
        raise invalid_params(field, f"is not a parameter of this method; it takes {_names(table)}")
    if has_nul:
        _refuse_nul(given)
    return shape(**{name: _convert(given.get(name), field) for name, field in table.items() if _counts(given, field)})


def _refuse_nul(given: Mapping[str, Raw]) -> None:
    """Raise -32602 for U+0000, which not every store can keep, or for a half of a pair marked by `mark_halves`."""
    for field, value in given.items():
        if NUL.search(value):
            raise invalid_params(field, NO_TEXT)


def _by_name(params: Sequence[Raw], table: Mapping[str, Field]) -> dict[str, Raw]:
    if len(params) > len(table):
        raise invalid_params(None, f"{len(params)} parameters given; this method takes {_names(table)}")
    return dict(zip(table, params, strict=False))


def _counts(given: Mapping[str, Raw], field: Field) -> bool:
    return field.required or not _is_nothing(given.get(field.name))


def _is_nothing(value: Raw | None) -> bool:
    return value is None or value == NULL


def _convert(value: Raw | None, field: Field) -> Any:
    if value is None or _is_nothing(value):
        raise invalid_params(field.name, f"is required: {field.description}")
    try:
        return _decoder_of(field.type).decode(value)
    except msgspec.ValidationError:
        wrong = invalid_params(field.name, f"must be {field.description}")
    if (number := as_integer(value)) is None:
        raise wrong
    try:
        return msgspec.convert(number, field.type)
    except msgspec.ValidationError:
        raise wrong from None


def _names(table: Mapping[str, Field]) -> str:
    return ", ".join(table) or "none"


@cache
def _decoder_of(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


@cache
def _fields_of(shape: type[Struct]) -> dict[str, Field]:
    hints = get_type_hints(shape, include_extras=True)
    return {field.name: _field(field, hints[field.name]) for field in fields(shape)}


def _field(field: FieldInfo, hint: Any) -> Field:
    return Field(field.name, field.type, field.required, _description(hint))


def _description(hint: Any) -> str:
    metas = [hint, *get_args(hint)]
    for meta in metas + [inner for outer in metas for inner in get_args(outer)]:
        if isinstance(meta, Meta) and meta.description:
            return meta.description
    raise TypeError(f"a parameter type needs a description: {hint}")
