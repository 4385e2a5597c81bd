"""Opens the connection to a callback URL: look up the host, check the addresses, connect, and start TLS for https."""

import asyncio
import errno
import functools
import ssl
from collections.abc import Callable
from typing import Final

from protocol.methods import CONNECT_SECONDS
from server.callbacks.address_policy import AddressPolicy, allowed_addresses
from server.callbacks.callback_url import CallbackUrl
from server.callbacks.connection import Connection, Owner
from server.callbacks.exchange import Failed
from server.callbacks.io_batcher import IoBatcher
from server.callbacks.resolver import ResolveError, Resolver
from server.net.addresses import IPAddress, network_of

Connected = Callable[[IPAddress, Connection], None]

UNCONNECTED: Final = {
    errno.ECONNREFUSED: "the connection was refused: nothing listens on this port, or a firewall refuses it",
    errno.ECONNRESET: "the connection was reset before it was made",
    errno.ETIMEDOUT: "the connection timed out",
    errno.EHOSTUNREACH: "the host cannot be reached: no route to it, or it does not answer",
    errno.ENETUNREACH: "the network of the host cannot be reached from the server",
    errno.EHOSTDOWN: "the host is down",
    errno.ENETDOWN: "the network is down",
    errno.EACCES: "a rule of the server's machine forbids the connection",
    errno.EPERM: "a rule of the server's machine forbids the connection",
    errno.EADDRNOTAVAIL: "the server's machine has no free port for the connection, or no address of its kind",
    errno.EMFILE: "the server has no file left for the connection",
    errno.ENFILE: "the server has no file left for the connection",
}
NOT_FOR_THE_HOST: Final = "the certificate is for another host"
INCOMPLETE: Final = "the issuer of the certificate is unknown to the server, or an intermediate certificate is missing"
# X509_V_ERR_… of OpenSSL (x509_vfy.h).
CERTIFICATES: Final = {
    2: INCOMPLETE,
    9: "the certificate is not valid yet; compare the clocks",
    10: "the certificate has expired",
    18: "the certificate is self-signed, and the server does not trust it",
    19: "the certificate was issued by an authority that the server does not trust",
    20: INCOMPLETE,
    21: INCOMPLETE,
    23: "the certificate has been revoked",
    24: "a certificate of the chain must not issue certificates",
    26: "the certificate is not made for a server",
    62: NOT_FOR_THE_HOST,
    64: NOT_FOR_THE_HOST,
    66: "the key of the certificate is too weak",
    67: "the key of an issuing certificate is too weak",
    68: "the signature of the certificate uses a hash that is too weak",
}
NO_TLS: Final = "the response is not TLS: this port speaks plain HTTP, or another protocol; give an http URL"
NO_COMMON: Final = "the two sides have no common TLS version or cipher"
# Names of OpenSSL (sslerr.h).
HANDSHAKES: Final = {
    "WRONG_VERSION_NUMBER": NO_TLS,
    "HTTP_REQUEST": NO_TLS,
    "PACKET_LENGTH_TOO_LONG": NO_TLS,
    "RECORD_LAYER_FAILURE": NO_TLS,
    "UNEXPECTED_EOF_WHILE_READING": "the connection ended in the TLS handshake; does this port speak https?",
    "UNSUPPORTED_PROTOCOL": NO_COMMON,
    "TLSV1_ALERT_PROTOCOL_VERSION": NO_COMMON,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the other side refused the handshake: no common cipher, or it has no certificate",
    "TLSV1_UNRECOGNIZED_NAME": "the other side has no certificate for this host",
    "TLSV1_ALERT_INTERNAL_ERROR": "the other side failed in the TLS handshake (alert internal_error)",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the other side requires a client certificate, and the server has none",
    "DH_KEY_TOO_SMALL": "the other side's keys are too weak",
    "EE_KEY_TOO_SMALL": "the key of the certificate is too weak",
}

MAX_ADDRESSES: Final = 8  # per name; more would let a registration scan a network


class CallbackError(Exception):
    """The exchange ended without an HTTP response. `failure` holds the stage and the cause."""

    def __init__(self, stage: str, detail: str) -> None:
        """Describe the stage and the cause of an attempt. `detail` must not describe the other addresses."""
        super().__init__(f"{stage}: {detail}")
        self.failure = Failed(stage, detail)


class AddressNotAllowed(CallbackError):
    """The callback's host has addresses, but the server may not connect to any of them for this caller."""

    def __init__(self) -> None:
        """Keep addresses out of the detail: it must not reveal names inside the server's network to the caller."""
        super().__init__(
            "address",
            'the server may not call any address of this host for you; it calls a callback like ":PORT/PATH" at the '
            "address that your requests come from, and CHAT_CALLBACK_ALLOW allows more addresses",
        )


class ConnectFailed(CallbackError):
    """The connection to this address failed. The next address of the host may work."""


class Connector:
    """Opens connections, only to addresses that the policy allows."""

    def __init__(self, resolver: Resolver, policy: AddressPolicy, tls: ssl.SSLContext) -> None:
        """Use `tls` to verify certificates."""
        self._resolver = resolver
        self._policy = policy
        self._tls = tls
        self._turns = IoBatcher()

    async def connect(
        self, url: CallbackUrl, caller: IPAddress | None, known: IPAddress | None, owner: Owner, connected: Connected
    ) -> tuple[IPAddress, Connection]:
        """Connect to the `known` address, or look the host up and try its addresses in order.

        The connection goes to the checked address, never to the name: a second look-up could return another address.
        `connected` is called with the connection before the TLS handshake. Raise `CallbackError` (dns, connect, tls),
        `AddressNotAllowed`.
        """
        found = [known] if known is not None else await self._look_up(url, network_of(caller))
        failure: CallbackError = AddressNotAllowed()
        for address in allowed_addresses(found, url.port, caller, self._policy)[:MAX_ADDRESSES]:
            try:
                return address, await self._open(url, address, owner, connected)
            except ConnectFailed as error:
                failure = error
        raise failure

    async def addresses(self, url: CallbackUrl, caller: IPAddress | None) -> list[IPAddress]:
        """Return the current addresses of the host that the policy allows. Raise `CallbackError` (dns)."""
        return allowed_addresses(await self._look_up(url, network_of(caller)), url.port, caller, self._policy)

    async def _look_up(self, url: CallbackUrl, network: str) -> list[IPAddress]:
        try:
            return await self._resolver.resolve(url.host, network)
        except ResolveError as error:
            raise CallbackError("dns", str(error)) from None

    async def _open(self, url: CallbackUrl, address: IPAddress, owner: Owner, connected: Connected) -> Connection:
        """Connect to an address. Raise `ConnectFailed`, `CallbackError` (tls)."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(
                    functools.partial(Connection, owner, self._turns), str(address), url.port
                )
        except TimeoutError:
            raise ConnectFailed("connect", f"no connection within {CONNECT_SECONDS:g} s") from None
        except OSError as error:
            raise ConnectFailed("connect", describe_connect_failure(error.errno)) from None
        connected(address, connection)
        if url.scheme == "https":
            await self._start_tls(connection, url.server_name)
        return connection

    async def _start_tls(self, connection: Connection, name: str) -> None:
        try:
            await connection.start_tls(self._tls, name)
        except BaseException as error:
            connection.close()
            if not isinstance(error, OSError | ValueError):
                raise
            raise CallbackError("tls", describe_handshake(error)) from None


def describe_connect_failure(number: int | None) -> str:
    """Return the reason for a failed connection, from the errno of the system call."""
    return UNCONNECTED.get(number or 0, "the connection could not be made")


def describe_handshake(error: Exception) -> str:
    """Return the reason for a failed TLS handshake, with the remedy where the error shows it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CERTIFICATES.get(error.verify_code, "the certificate is not valid")
    if isinstance(error, ssl.SSLError):
        return HANDSHAKES.get(getattr(error, "reason", None) or "", "the TLS handshake failed")
    return "the connection ended in the TLS handshake; does this port speak https?"
