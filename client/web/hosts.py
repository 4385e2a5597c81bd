"""Which host names the page answers to, and which pages may open its WebSocket.

The host name protects against DNS rebinding, the origin (RFC 6454, section 7) against pages of others. A browser lets
no page set `Host`, `Origin` or `X-Forwarded-Host` of a WebSocket's handshake.
"""

import re
from collections.abc import Collection
from typing import Final

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})  # no DNS answer makes a browser send these

_PORT: Final = re.compile(r":[0-9]{1,5}\Z")
_ORIGIN: Final = re.compile(r"(https?)://([^/@\s]+)")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


class PageHosts:
    """The setting `CHAT_PAGE_HOSTS`: `name` at any port, `name:port` at that port. Loopback is always one of them."""

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)

    def include(self, host: str) -> bool:
        """Return whether the page answers to the value of a `Host` header."""
        host = host.lower()
        return host in self._hosts or _name(host) in self._hosts | LOOPBACK

    def let(self, origin: str, host: str, forwarded_hosts: Collection[str] = ()) -> bool:
        """Return whether the page at `origin` may open the WebSocket. `host` is one that is included.

        Behind a proxy `Host` may be another than in the browser: the name of the upstream (nginx's default), or
        without its port (nginx's `$host`). Then `CHAT_PAGE_HOSTS` decides, or `X-Forwarded-Host`.
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
        if name == _name(host):  # at another port: a page of others, unless the proxy dropped the port
            return name == host
        return name in self._hosts - LOOPBACK


def _name(host: str) -> str:
    return _PORT.sub("", host)


def host_of(origin: str) -> str:
    """Return the host of an origin, with its port, as `CHAT_PAGE_HOSTS` takes it; the origin itself if it has none."""
    found = _ORIGIN.fullmatch(origin)
    return found[2] if found else origin
