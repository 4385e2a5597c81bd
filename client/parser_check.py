"""Check that aiohttp uses its HTTP parser in C: it falls back on a parser in Python silently."""

from typing import Final

from aiohttp import http_parser

IN_PYTHON: Final = (
    "aiohttp parses HTTP in Python here, which is slow and has let requests be smuggled past a proxy. Unset"
    " AIOHTTP_NO_EXTENSIONS, or install aiohttp with its C extensions:"
    " pip install --force-reinstall --only-binary aiohttp aiohttp"
)


def parser_problem() -> str | None:
    """Return the problem with aiohttp's parser as a text; None if it is the parser in C.

    Advisories on the Python parser only: CVE-2024-52304, CVE-2025-53643. aiohttp's WebSocket reader needs no check: its
    compiled and uncompiled forms have the same source.
    """
    return IN_PYTHON if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy else None
