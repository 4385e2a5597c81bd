"""The host names that the page answers to, and the origins that may open its WebSocket.

The check of the host name protects against DNS rebinding, the check of the origin (RFC 6454, section 7) against foreign
pages. A page cannot set `Host`, `Origin` or `X-Forwarded-Host` in a WebSocket handshake: browsers forbid it.
"""

import re
from collections.abc import Collection
from typing import Final

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})  # DNS rebinding cannot make a browser send these

_PORT: Final = re.compile(r":[0-9]{1,5}\Z")
_ORIGIN: Final = re.compile(r"(https?)://([^/@\s]+)")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


class PageHosts:
    """The setting `CHAT_PAGE_HOSTS`: `name` at any port, `name:port` at that port. Loopback is always included."""

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)

    def include(self, host: str) -> bool:
        """Return whether the page answers to the value of a `Host` header."""
        host = host.lower()
        return host in self._hosts or _name(host) in self._hosts | LOOPBACK

    def let(self, origin: str, host: str, forwarded_hosts: Collection[str] = ()) -> bool:
        """Return whether the page at `origin` may open the WebSocket. `host` must be an included host.

        Behind a proxy `Host` may differ from the browser's: the name of the upstream (nginx's default), or the name
        without the port (nginx's `$host`). Then `CHAT_PAGE_HOSTS` or `X-Forwarded-Host` decides.
        """
        found = _ORIGIN.fullmatch(origin.lower())
        if found is None:
            return False
        scheme, page = found.groups()
        page, host = (each.lower().removesuffix(_DEFAULT_PORTS[scheme]) for each in (page, host))
        if page == host or page in self._hosts - LOOPBACK:
            return True
        if page in (each.strip().lower() for each in forwarded_hosts):
            return self.include(page)
        name = _name(page)
        if name == _name(host):  # with different ports: a foreign page, unless the proxy dropped the port
            return name == host
        return name in self._hosts - LOOPBACK


def _name(host: str) -> str:
    return _PORT.sub("", host)


def host_of(origin: str) -> str:
    """Return the host and port of an origin in the form of `CHAT_PAGE_HOSTS`; `origin` unchanged if it has no host."""
    found = _ORIGIN.fullmatch(origin)
    return found[2] if found else origin
