"""aiohttp's HTTP parser: the one in C, or the one in Python that it falls back on without a word."""

from typing import Final

from aiohttp import http_parser

IN_PYTHON: Final = (
    "aiohttp parses HTTP in Python here, which is slow and has let requests be smuggled past a proxy. Unset"
    " AIOHTTP_NO_EXTENSIONS, or install aiohttp with its C extensions:"
    " pip install --force-reinstall --only-binary aiohttp aiohttp"
)


def parser_problem() -> str | None:
    """Say what is wrong with the parser that aiohttp has chosen; None if it is the one in C.

    Advisories on the one in Python alone: CVE-2024-52304, CVE-2025-53643. aiohttp's WebSocket reader is one source,
    compiled or not, so there is nothing to check about it.
    """
    return IN_PYTHON if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy else None
