"""From what a participant gives as `callback` to the URL that is rung."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from server.core.address_policy import IPAddress

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# RFC 3986 has no white space, control or non-ASCII characters in a URL, and urlsplit silently drops some of them.
UNSAFE_CHARACTERS: Final = re.compile(r"[^\x21-\x7e]|[\\\"<>^`{|}]")


class CallbackProblem(ValueError):
    """A text that is no callback; `str()` says why."""


@dataclass(frozen=True, slots=True)
class CallbackUrl:
    """Where a participant is rung: the URL as text, and its parts as they are dialled. `host` has no brackets."""

    text: str
    scheme: str
    host: str
    port: int
    target: str

    @property
    def server_name(self) -> str:
        """The host as certificates and virtual hosts have it.

        A dot at its end only tells a look-up not to append a search domain (RFC 6066, section 3: without it).
        """
        return self.host.removesuffix(".")

    @property
    def authority(self) -> str:
        """The value of the Host header (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.server_name
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def settle_callback(text: str, caller: IPAddress | None) -> CallbackUrl:
    """Read a callback; one that begins with a colon is at the caller's own address. Raises `CallbackProblem`."""
    if text.startswith(":"):
        if caller is None:
            raise CallbackProblem("begins with a colon, but the address that you call from is not known")
        host = f"[{caller}]" if isinstance(caller, IPv6Address) else str(caller)
        text = f"http://{host}{text}"
    return parse_callback(text)


def parse_callback(text: str) -> CallbackUrl:
    """Read an http or https URL that can be rung. Raises `CallbackProblem`."""
    if UNSAFE_CHARACTERS.search(text):
        raise CallbackProblem("holds a character that no URL may hold unescaped")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise CallbackProblem("is not a URL with a host and a port from 1 to 65535") from None
    _check_parts(parts, port)
    host = parts.hostname or ""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return CallbackUrl(text, parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], target)


def literal_address(host: str) -> IPAddress | None:
    """Give the address that a host already is, or None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _check_parts(parts: SplitResult, port: int | None) -> None:
    if parts.scheme not in DEFAULT_PORTS:
        raise CallbackProblem('must begin with "http://", "https://" or ":PORT"')
    if not parts.hostname:
        raise CallbackProblem("has no host")
    if parts.username is not None or parts.password is not None:
        raise CallbackProblem("must not hold a user name or password")
    if parts.fragment:
        raise CallbackProblem("must not have a fragment")
    if port == 0 or parts.netloc.endswith(":"):
        raise CallbackProblem("must have a port from 1 to 65535")
