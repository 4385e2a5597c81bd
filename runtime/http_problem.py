"""The error text for the sender of a request that aiohttp cannot parse."""

import re
from typing import Final

NOT_HTTP: Final = "malformed HTTP/1.1 request"
# A sentence of the parser. A quotation from the request, after a colon, is not repeated.
_RULE: Final = re.compile(r"(?:Bad status line:\n\s*)?([A-Z][A-Za-z '`-]+)(?:\.?$|:\n\n)")


def http_problem(told: str) -> str:
    """Return a line for the sender; it names the broken rule if `told`, the parser's error text, contains it."""
    rule = _RULE.match(told)
    return f"{NOT_HTTP} ({rule[1]})\n" if rule else f"{NOT_HTTP}\n"
