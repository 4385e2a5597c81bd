"""The cookies of all pages on a host: a browser sends them all, as cookies ignore the port (RFC 6265, section 8.5)."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

PREFIX: Final = "ringback-"
VALUE_BYTES: Final = 32
VALUE_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # VALUE_BYTES, as secrets.token_urlsafe encodes them
NAME_PATTERN: Final = re.compile(rf"{PREFIX}[0-9a-f]{{12}}")
MAX_AGE_SECONDS: Final = 90 * 86_400  # longer than any registration is kept; renewed with each WebSocket
MAX_OTHERS: Final = 50  # about 3.5 KiB in the headers of every request to the host
MAX_EXPIRED: Final = 20  # in a response: nginx accepts 4 KiB of response headers


def value_of(cookies: Mapping[str, str], names: Iterable[str]) -> str | None:
    """Return the value of the first cookie in `names` whose value has our form, or None."""
    return next((value for name in names if VALUE_PATTERN.fullmatch(value := cookies.get(name, ""))), None)


def others(cookies: Mapping[str, str], own: str) -> list[str]:
    """Return the names of the cookies of other pages on this host, oldest first (RFC 6265, section 5.4)."""
    return [name for name, value in cookies.items() if name != own and _is_ours(name, value)]


def superfluous(names: list[str], replaced: str) -> list[str]:
    """Return the cookies in `names` that are to expire: `replaced`, and the excess over `MAX_OTHERS`.

    Cookies in the former form (not `NAME_PATTERN`) expire first, then the oldest; at most `MAX_EXPIRED` in total.
    """
    by_age = sorted(names, key=lambda name: (name != replaced, NAME_PATTERN.fullmatch(name) is not None))
    return by_age[: min(MAX_EXPIRED, max(len(names) - MAX_OTHERS, replaced in names))]


def _is_ours(name: str, value: str) -> bool:
    return name.startswith(PREFIX) and VALUE_PATTERN.fullmatch(value) is not None
