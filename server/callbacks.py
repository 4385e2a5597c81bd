"""The outgoing HTTP seam: one POST to one callback, within the contract's limits."""

import asyncio
import ssl
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Final

import aiohttp
from yarl import URL

from protocol.methods import CONNECT_SECONDS, CONTENT_TYPE, EXCHANGE_SECONDS, MAX_REPLY_BYTES
from server.core.address_policy import AddressPolicy, IPAddress, allowed_addresses
from server.core.callback_url import CallbackUrl
from server.core.reply import Failed, Reply
from server.resolver import ResolveError, Resolver

TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)  # the whole is timed in `post`

# Closed by the other side, reset, or found closed when the request was to be written.
CONNECTION_ENDED: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)


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


class Callbacks:
    """The shared connections, and who may be called through them."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        resolver: Resolver,
        policy: AddressPolicy,
        exchange_seconds: float = EXCHANGE_SECONDS,
    ) -> None:
        """Use `session` as `callback_session` makes it; one exchange may take `exchange_seconds`."""
        self.exchange_seconds = exchange_seconds
        self._session = session
        self._resolver = resolver
        self._policy = policy

    def to(self, url: CallbackUrl, caller: IPAddress | None) -> "Callback":
        """Give the way to one callback that was registered by `caller`."""
        return Callback(self, url, caller)

    async def find_addresses(self, url: CallbackUrl, caller: IPAddress | None) -> list[IPAddress]:
        """Resolve and check; raises `CallbackError` (dns), `AddressNotAllowed`."""
        try:
            addresses = await self._resolver.resolve(url.host)
        except ResolveError as error:
            raise CallbackError("dns", str(error)) from None
        allowed = allowed_addresses(addresses, url.port, caller, self._policy)
        if not allowed:
            raise AddressNotAllowed
        return allowed

    async def exchange(self, url: CallbackUrl, address: IPAddress, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Post to a checked address; kept connections that had died meanwhile are replaced by a new one."""
        while True:
            trace = SimpleNamespace(reused=False)
            try:
                return await self._post(url, address, body, headers, trace)
            except CONNECTION_ENDED:
                if not trace.reused:
                    raise

    async def _post(
        self, url: CallbackUrl, address: IPAddress, body: bytes, headers: Mapping[str, str], trace: SimpleNamespace
    ) -> Reply:
        # The address stands in the URL, so that what is dialled is what was checked and no other look-up is made.
        host = f"[{address}]" if address.version == 6 else str(address)
        async with self._session.post(
            URL(f"{url.scheme}://{host}:{url.port}{url.target}", encoded=True),
            data=body,
            headers={**headers, "Host": url.authority, "Content-Type": CONTENT_TYPE, "Accept-Encoding": "identity"},
            allow_redirects=False,
            server_hostname=url.host if url.scheme == "https" else None,
            trace_request_ctx=trace,
        ) as response:
            received = await _read_at_most(response.content, MAX_REPLY_BYTES)
            if truncated := len(received) > MAX_REPLY_BYTES:
                response.close()
            return Reply(response.status, response.headers, received, truncated)


class Callback:
    """The way to one callback. It keeps the address that was checked until an exchange with it fails."""

    def __init__(self, callbacks: Callbacks, url: CallbackUrl, caller: IPAddress | None) -> None:
        """Nothing is looked up before the first POST."""
        self.url = url
        self._callbacks = callbacks
        self._caller = caller
        self._address: IPAddress | None = None

    def __repr__(self) -> str:
        return f"<Callback {self.url.text} at {self._address}>"

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Post once and read the answer, all within `exchange_seconds`. Raises `CallbackError`, `AddressNotAllowed`."""
        try:
            async with asyncio.timeout(self._callbacks.exchange_seconds):
                return await self._post_to_some_address(body, headers)
        except TimeoutError:
            self._address = None
            seconds = self._callbacks.exchange_seconds
            raise CallbackError("timeout", f"no complete answer within {seconds:g} s") from None

    async def _post_to_some_address(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        known = self._address
        candidates = [known] if known is not None else await self._callbacks.find_addresses(self.url, self._caller)
        self._address = None
        failure: CallbackError = AddressNotAllowed()
        for address in candidates:
            try:
                reply = await self._callbacks.exchange(self.url, address, body, headers)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                failure = _describe(error)
                continue
            except TimeoutError:
                raise
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise _describe(error) from None
            self._address = address
            return reply
        raise failure


def callback_session() -> aiohttp.ClientSession:
    """Make the session for `Callbacks`: as many connections as needed, no cookies, no decompression."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_note_reuse)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=TIMEOUT,
        auto_decompress=False,
        trace_configs=[trace],
        headers={"User-Agent": "ringback"},
    )


async def _note_reuse(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceConnectionReuseconnParams
) -> None:
    context.trace_request_ctx.reused = True


async def _read_at_most(content: aiohttp.StreamReader, limit: int) -> bytes:
    """Read to the end, or to just above the limit."""
    received = bytearray()
    while len(received) <= limit and (chunk := await content.read(limit + 1 - len(received))):
        received += chunk
    return bytes(received)


def _describe(error: Exception) -> CallbackError:
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return CallbackError("tls", "the TLS handshake failed, or the certificate is not valid for this host")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return CallbackError("connect", f"no connection within {CONNECT_SECONDS:g} s")
    if isinstance(error, aiohttp.ClientConnectorError):
        return CallbackError("connect", "the connection was refused or could not be made")
    if isinstance(error, CONNECTION_ENDED):
        return CallbackError("http", "the connection ended before there was an answer")
    return CallbackError("http", "the answer is not HTTP")
