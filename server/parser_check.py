"""Checks which HTTP parser aiohttp uses: its C parser, or the Python parser, to which it falls back silently."""

from typing import Final

from aiohttp import http_parser

IN_PYTHON: Final = (
    "aiohttp parses HTTP in Python here, which is slow and has let requests be smuggled past a proxy. Unset"
    " AIOHTTP_NO_EXTENSIONS, or install aiohttp with its C extensions:"
    " pip install --force-reinstall --only-binary aiohttp aiohttp"
)


def parser_problem() -> str | None:
    """Return an error text if aiohttp has chosen its Python parser, None if it uses the C parser.

    Advisories on the Python parser only: CVE-2024-52304, CVE-2025-53643. aiohttp's WebSocket reader needs no check: it
    has the same source, compiled or not.
    """
    return IN_PYTHON if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy else None
