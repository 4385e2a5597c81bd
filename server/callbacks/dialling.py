"""From the URL of a callback to a connection: look up, check, dial, and shake hands where it is https."""

import asyncio
import functools
import ssl
from typing import Final

from protocol.methods import CONNECT_SECONDS
from server.callbacks.connection import Connection, Owner
from server.callbacks.turns import Turns
from server.core.address_policy import AddressPolicy, IPAddress, allowed_addresses
from server.core.callback_url import CallbackUrl
from server.core.caller import network_of
from server.core.reply import Failed
from server.resolver import ResolveError, Resolver

MAX_ADDRESSES: Final = 8  # of one name: more would make a scan of it


class CallbackError(Exception):
    """No HTTP answer came; `failure` says at which stage it ended."""

    def __init__(self, stage: str, detail: str) -> None:
        """Say where and why, without a word about what was found at other addresses."""
        super().__init__(f"{stage}: {detail}")
        self.failure = Failed(stage, detail)


class AddressNotAllowed(CallbackError):
    """The callback has addresses, but none that may be called for this caller."""

    def __init__(self) -> None:
        """Name no address in the detail: a caller learns nothing about names inside the server's network."""
        super().__init__(
            "address",
            'no address of this host may be called for you; a callback like ":PORT/PATH" is rung at the address that '
            "you call from, and CHAT_CALLBACK_ALLOW allows others",
        )


class Unconnected(CallbackError):
    """Nobody took the connection at this address; another one may."""


class Dialler:
    """Makes connections, only to addresses that may be called."""

    def __init__(self, resolver: Resolver, policy: AddressPolicy, tls: ssl.SSLContext) -> None:
        """Trust the certificates that `tls` trusts."""
        self._resolver = resolver
        self._policy = policy
        self._tls = tls
        self._turns = Turns()

    async def dial(
        self, url: CallbackUrl, caller: IPAddress | None, known: IPAddress | None, owner: Owner
    ) -> tuple[IPAddress, Connection]:
        """Connect to the address that is known to work, or else look the host up and try one after the other.

        What is dialled is the address that was checked, never the name. Raises `CallbackError` (dns, connect, tls),
        `AddressNotAllowed`.
        """
        found = [known] if known is not None else await self._look_up(url, network_of(caller))
        failure: CallbackError = AddressNotAllowed()
        for address in allowed_addresses(found, url.port, caller, self._policy)[:MAX_ADDRESSES]:
            try:
                return address, await self._connect(url, address, owner)
            except Unconnected as error:
                failure = error
        raise failure

    async def _look_up(self, url: CallbackUrl, network: str) -> list[IPAddress]:
        try:
            return await self._resolver.resolve(url.host, network)
        except ResolveError as error:
            raise CallbackError("dns", str(error)) from None

    async def _connect(self, url: CallbackUrl, address: IPAddress, owner: Owner) -> Connection:
        """Dial one address. Raises `Unconnected`, `CallbackError` (tls)."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(
                    functools.partial(Connection, owner, self._turns), str(address), url.port
                )
        except TimeoutError:
            raise Unconnected("connect", f"no connection within {CONNECT_SECONDS:g} s") from None
        except OSError:
            raise Unconnected("connect", "the connection was refused or could not be made") from None
        if url.scheme == "https":
            await self._start_tls(connection, url.host)
        return connection

    async def _start_tls(self, connection: Connection, name: str) -> None:
        try:
            await connection.start_tls(self._tls, name)
        except BaseException as error:
            connection.close()
            if not isinstance(error, OSError | ValueError):
                raise
            detail = "the TLS handshake failed, or the certificate is not valid for this host"
            raise CallbackError("tls", detail) from None
