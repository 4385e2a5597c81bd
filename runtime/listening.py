"""Listening sockets: a socket for each address of a host, all on the same port."""

import contextlib
import errno
import os
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import TracebackType
from typing import Final, Self

ALL_ADDRESSES: Final = "::"
LOCALHOST: Final = "localhost"
# Port 0 selects a port that is free at the first address, but may be in use at another address.
PORT_TRIES: Final = 20
# Errors on a machine without IPv6: the kernel lacks it, or no interface has an IPv6 address.
NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})


class ListenError(Exception):
    """No socket could be bound; `str()` names host, port and reason."""


class ListeningSockets:
    """Bound sockets that accept connections. `host` is as given, `port` is the bound port."""

    def __init__(self, host: str, sockets: Sequence[socket.socket]) -> None:
        self.host = host
        self.port = int(sockets[0].getsockname()[1])
        self.sockets = tuple(sockets)

    def __repr__(self) -> str:
        return f"<ListeningSockets {self.authority} sockets={len(self.sockets)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def authority(self) -> str:
        """Host and port as in a URL: an IPv6 address has brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def addresses(self) -> list[IPv4Address | IPv6Address]:
        """The address of each socket; 0.0.0.0 and :: mean all addresses."""
        return [ip_address(each.getsockname()[0].partition("%")[0]) for each in self.sockets]

    @property
    def families(self) -> set[int]:
        """The address families of callers that can connect: AF_INET, AF_INET6."""
        accepted = {int(each.family) for each in self.sockets}
        is_dual = any(each.family == socket.AF_INET6 and not _is_v6_only(each) for each in self.sockets)
        return accepted | {int(socket.AF_INET)} if is_dual else accepted

    def close(self) -> None:
        """Close all sockets. A second call has no effect."""
        for each in self.sockets:
            each.close()


def listen(host: str, port: int, *, backlog: int = 128) -> ListeningSockets:
    """Bind and listen at each address of `host`. Raise `ListenError`.

    `::` accepts IPv4 connections as well. `localhost` means both loopback addresses, regardless of the hosts file. On a
    machine without IPv6, both mean the IPv4 addresses only. Port 0 selects a free port.
    """
    try:
        addresses = _addresses_of(host.strip("[]"), port)
        for _ in range(PORT_TRIES):
            with contextlib.suppress(_PortInUse):
                return ListeningSockets(host.strip("[]"), _bind_all(addresses, port, backlog))
        raise ListenError(f"cannot listen on {_authority(host, port)}: no port is free at all of its addresses")
    except socket.gaierror as error:  # before OSError: its errno is that of getaddrinfo
        raise ListenError(f"cannot listen on {_authority(host, port)}: {error.strerror}") from None
    except UnicodeError:  # from the codec for host names
        raise ListenError(f"cannot listen on {_authority(host, port)}: that is not a host name") from None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise ListenError(f"cannot listen on {_authority(host, port)}: {why}") from None


class _PortInUse(Exception):
    """The port that was free at the first address is in use at another address."""


def _addresses_of(host: str, port: int) -> list[tuple[int, str]]:
    """Return (family, address) pairs without duplicates, IPv4 first. Raise `socket.gaierror`."""
    if host == LOCALHOST:
        return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return sorted({(int(family), str(address[0])) for family, _, _, _, address in found})


def _bind_all(addresses: Sequence[tuple[int, str]], port: int, backlog: int) -> list[socket.socket]:
    """Bind each address; skip addresses that this machine lacks, unless none remains. Raise `OSError`."""
    with contextlib.ExitStack() as undo:
        sockets: list[socket.socket] = []
        missing: OSError | None = None
        for family, address in addresses:
            shared_port = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(undo.enter_context(_bind(family, address, shared_port, backlog)))
            except OSError as error:
                if error.errno == errno.EADDRINUSE and shared_port != port:
                    raise _PortInUse from None
                if error.errno not in NO_IPV6:
                    raise
                missing = error
        if not sockets:
            raise missing or OSError(errno.EADDRNOTAVAIL, "the host has no address")
        undo.pop_all()
        return sockets


def _bind(family: int, address: str, port: int, backlog: int) -> socket.socket:
    is_all = address == ALL_ADDRESSES
    try:
        return socket.create_server(
            (address, port), family=family, backlog=backlog, dualstack_ipv6=is_all and socket.has_dualstack_ipv6()
        )
    except OSError as error:
        if not (is_all and error.errno in NO_IPV6):
            raise
        return socket.create_server(("0.0.0.0", port), backlog=backlog)  # noqa: S104


def _authority(host: str, port: int) -> str:
    bare = host.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def _is_v6_only(bound: socket.socket) -> bool:
    return bool(bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
