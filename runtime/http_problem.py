"""What is wrong with a request that aiohttp cannot read, in words for its sender."""

import re
from typing import Final

NOT_HTTP: Final = "this is not a request of HTTP/1.1"
# A sentence of the parser. What it may quote of the request, behind a colon, is not repeated.
_RULE: Final = re.compile(r"(?:Bad status line:\n\s*)?([A-Z][A-Za-z '`-]+)(?:\.?$|:\n\n)")


def http_problem(told: str) -> str:
    """Return a line for the sender: the rule that the request breaks, if `told` by the parser is such a one."""
    rule = _RULE.match(told)
    return f"{NOT_HTTP} ({rule[1]})\n" if rule else f"{NOT_HTTP}\n"
