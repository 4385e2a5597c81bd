"""From the `params` of a request to the parameter class of its method."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

from protocol.errors import invalid_params

S = TypeVar("S", bound=Struct)
SHOWN_CHARS = 64


class Field(NamedTuple):
    """One parameter: `description` is what a caller reads as "must be …"."""

    name: str
    type: Any
    required: bool
    description: str


def bind_params(params: Sequence[Any] | Mapping[str, Any], shape: type[S]) -> S:
    """Check parameters given by position or by name, and give them as `shape`.

    None for an optional parameter is the same as left out. Raises -32602 that names the field and what is expected.
    """
    table = _fields_of(shape)
    given = params if isinstance(params, Mapping) else _by_name(params, table)
    if given.keys() <= table.keys():
        try:
            return msgspec.convert(given, shape)
        except msgspec.ValidationError:
            pass  # what is wrong is found out below
    if unknown := given.keys() - table.keys():
        field = min(unknown)[:SHOWN_CHARS]
        raise invalid_params(field, f"is not a parameter of this method; it takes {_names(table)}")
    return shape(**{name: _convert(given.get(name), field) for name, field in table.items() if _counts(given, field)})


def _by_name(params: Sequence[Any], table: Mapping[str, Field]) -> dict[str, Any]:
    if len(params) > len(table):
        raise invalid_params(None, f"{len(params)} parameters given; this method takes {_names(table)}")
    return dict(zip(table, params, strict=False))


def _counts(given: Mapping[str, Any], field: Field) -> bool:
    return field.required or given.get(field.name) is not None


def _convert(value: Any, field: Field) -> Any:
    if value is None:
        raise invalid_params(field.name, f"is required: {field.description}")
    try:
        return msgspec.convert(value, field.type)
    except msgspec.ValidationError:
        raise invalid_params(field.name, f"must be {field.description}") from None


def _names(table: Mapping[str, Field]) -> str:
    return ", ".join(table) or "none"


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
    raise TypeError(f"a parameter without a description: {hint}")
