"""Parses the `callback` parameter into the URL that the server POSTs to."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from server.net.addresses import IPAddress

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# RFC 3986 has no white space, control or non-ASCII characters in a URL, and urlsplit silently drops some of them.
UNSAFE_CHARACTERS: Final = re.compile(r"[^\x21-\x7e]|[\\\"<>^`{|}]")


class CallbackProblem(ValueError):
    """A text that is not a valid callback; `str()` is the reason, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class CallbackUrl:
    """A callback: the URL as text, and the parts that a connection needs. `host` has no brackets."""

    text: str
    scheme: str
    host: str
    port: int
    target: str

    @property
    def server_name(self) -> str:
        """The host name for TLS and the Host header, without a trailing dot (RFC 6066, section 3).

        The dot only prevents a DNS lookup from appending a search domain.
        """
        return self.host.removesuffix(".")

    @property
    def authority(self) -> str:
        """The value of the Host header (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.server_name
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def resolve_callback(text: str, caller: IPAddress | None) -> CallbackUrl:
    """Return the parsed callback; `:PORT/PATH` is at the caller's address. Raise `CallbackProblem`."""
    if text.startswith(":"):
        if caller is None:
            raise CallbackProblem("begins with a colon, but the address that you call from is unknown")
        host = f"[{caller}]" if isinstance(caller, IPv6Address) else str(caller)
        text = f"http://{host}{text}"
    return parse_callback(text)


def parse_callback(text: str) -> CallbackUrl:
    """Return the parsed http or https URL. Raise `CallbackProblem`."""
    if UNSAFE_CHARACTERS.search(text):
        raise CallbackProblem("contains a character that must be percent-encoded in a URL")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise CallbackProblem("is not a URL with a host and a port from 1 to 65535") from None
    _check_parts(parts, port)
    host = parts.hostname or ""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return CallbackUrl(text, parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], target)


def _check_parts(parts: SplitResult, port: int | None) -> None:
    if parts.scheme not in DEFAULT_PORTS:
        raise CallbackProblem('must begin with "http://", "https://" or ":PORT"')
    if not parts.hostname:
        raise CallbackProblem("has no host")
    if parts.username is not None or parts.password is not None:
        raise CallbackProblem("must not contain a user name or password")
    if parts.fragment:
        raise CallbackProblem("must not have a fragment")
    if port == 0 or parts.netloc.endswith(":"):
        raise CallbackProblem("must have a port from 1 to 65535")
