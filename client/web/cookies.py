"""The cookies of one host's pages, which a browser keeps together: cookies do not tell ports apart (RFC 6265, 8.5)."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

PREFIX: Final = "ringback-"
VALUE_BYTES: Final = 32
VALUE_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # VALUE_BYTES, as secrets.token_urlsafe writes them
NAME_PATTERN: Final = re.compile(rf"{PREFIX}[0-9a-f]{{12}}")
MAX_AGE_SECONDS: Final = 90 * 86_400  # longer than any seat is kept; renewed with each WebSocket
MAX_OTHERS: Final = 50  # some 3.5 KiB in the head of every request to that host
MAX_EXPIRED: Final = 20  # in one response: nginx takes 4 KiB of headers


def value_of(cookies: Mapping[str, str], names: Iterable[str]) -> str | None:
    """Return the value of the first of `names` that is one of ours, if any."""
    return next((value for name in names if VALUE_PATTERN.fullmatch(value := cookies.get(name, ""))), None)


def others(cookies: Mapping[str, str], own: str) -> list[str]:
    """Return the names of the cookies of other pages on this host, oldest first (RFC 6265, 5.4)."""
    return [name for name, value in cookies.items() if name != own and _is_ours(name, value)]


def superfluous(names: list[str], replaced: str) -> list[str]:
    """Return which of `names` are to expire: `replaced`, and the oldest beyond `MAX_OTHERS`, first the former form."""
    by_age = sorted(names, key=lambda name: (name != replaced, NAME_PATTERN.fullmatch(name) is not None))
    return by_age[: min(MAX_EXPIRED, max(len(names) - MAX_OTHERS, replaced in names))]


def _is_ours(name: str, value: str) -> bool:
    return name.startswith(PREFIX) and VALUE_PATTERN.fullmatch(value) is not None
