"""The composition root: creates the parts of the server and connects them."""

import asyncio
import contextlib
import functools
import math
import resource
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from aiohttp import hdrs, web

from protocol.methods import DRAIN_SECONDS, EXCHANGE_SECONDS, MAX_BODY_BYTES, REGISTER, REQUEST_READ_SECONDS
from runtime.http_server import SERVER, refuse_odd_expectations
from runtime.listening import ListenError, ListeningSockets
from runtime.listening import listen as bind
from server import logs
from server.callbacks.address_policy import AddressPolicy
from server.callbacks.callback import Callbacks
from server.callbacks.connector import Connector
from server.callbacks.resolver import Resolver, SystemResolver
from server.chat.control import controlled, kick, release
from server.chat.limits import Limits
from server.chat.maintenance import run_maintenance
from server.chat.methods import Methods
from server.chat.refusals import Refusals
from server.chat.registration import Registrar
from server.chat.retention import Retention
from server.chat.room import Room
from server.chat.store_clock import DAY
from server.clock import Clock, SystemClock
from server.delivery.broadcaster import broadcast
from server.errors import ControlError, StartError
from server.inbound.connections import ConnectionGuard, HttpProtocol, connection_of
from server.inbound.dispatcher import JsonRpcDispatcher
from server.inbound.routes import DISPATCHER, RpcEndpoint
from server.message_log.base import MessageLog, StoreUnusable, Unreadable
from server.message_log.memory import MemoryLog
from server.message_log.sqlite import SqliteLog
from server.message_log.store_file import back_up, control_path, restore, write_backup
from server.settings import MEMORY_STORE, SQLITE_STORE, Settings

ROOM: Final = web.AppKey("room", Room)
BACKLOG: Final = 1024  # for a thousand clients that reconnect at the same moment
KEEP_ALIVE_SECONDS: Final = 75.0
RESERVED_FILES: Final = 128  # for the store, verifications of callbacks, DNS look-ups
READ_BUFFER_BYTES: Final = 16 * 1024  # of a body, before the request is accepted by its head
SEND_BUFFER_BYTES: Final = 256 * 1024  # SO_SNDBUF of each connection; by default it may grow to some megabytes
CLOSE_SECONDS: Final = 0.1  # aiohttp waits this long twice: for handlers, then for connections
RESERVED_SECONDS: Final = 0.6  # of `drain_seconds`, for closing and for the end of the process


@dataclass(frozen=True)
class Dependencies:
    """The clock, resolver, TLS context and timeouts that the server uses; tests replace them."""

    clock: Clock = field(default_factory=SystemClock)
    resolver: Resolver = field(default_factory=SystemResolver)
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    exchange_seconds: float = EXCHANGE_SECONDS
    read_seconds: float = REQUEST_READ_SECONDS
    drain_seconds: float = DRAIN_SECONDS


class Server:
    """The server on its listening sockets. `authority` is host and port as in a URL, `port` the bound port."""

    def __init__(self, settings: Settings, listener: ListeningSockets, surroundings: Dependencies) -> None:
        """Use the sockets of `listener`, which `listen` returns."""
        self.authority, self.port = listener.authority, listener.port
        self._listener = listener
        self._accepting: list[asyncio.Server] = []
        self._max_connections = _connection_limit(settings.max_connections)
        self._read_seconds = surroundings.read_seconds
        self._drain_seconds = surroundings.drain_seconds
        self._endpoint = RpcEndpoint(settings.trusted_proxies, surroundings.read_seconds)
        self.app = web.Application(client_max_size=MAX_BODY_BYTES)
        self.app.on_response_prepare.append(_on_answer)
        self._endpoint.add_to(self.app)
        policy = _policy(settings, listener)
        self.app.cleanup_ctx.append(lambda app: _run_room(app, settings, policy, surroundings))
        self._runner = web.AppRunner(self.app, handle_signals=False, shutdown_timeout=CLOSE_SECONDS)

    async def start(self) -> None:
        """Start to accept connections."""
        await self._runner.setup()
        server = cast("web.Server", self._runner.server)  # set by `setup`
        server.request_handler = refuse_odd_expectations(server.request_handler)
        loop = asyncio.get_running_loop()
        make_protocol = functools.partial(
            HttpProtocol,
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as AppRunner passes it
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            read_bufsize=READ_BUFFER_BYTES,
            auto_decompress=False,  # a compressed body is refused; inflating it first would cost memory
        )
        connections = ConnectionGuard(make_protocol, self._max_connections, self._read_seconds)
        for sock in self._listener.sockets:
            self._accepting.append(await loop.create_server(connections, sock=sock, backlog=BACKLOG))

    async def stop(self) -> None:
        """Drain for a bounded time: refuse new requests, wait for requests and POSTs in flight, save, close."""
        try:
            async with asyncio.timeout(self._drain_seconds - RESERVED_SECONDS):
                await self._endpoint.drain()
                await self.app[ROOM].close()
        except TimeoutError:
            logs.server.warning("Some requests or deliveries did not finish within %g s", self._drain_seconds)
        for accepting in self._accepting:
            accepting.close()
        await self._runner.cleanup()


def listen(host: str, port: int) -> ListeningSockets:
    """Bind the listening sockets. Raise `StartError`."""
    try:
        listener = bind(host, port, backlog=BACKLOG)
    except ListenError as error:
        raise StartError(f"{error}. Choose another CHAT_HOST or CHAT_PORT (0: any free port)") from None
    for sock in listener.sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # connections inherit it
    return listener


async def open_log(store: str, now: float) -> MessageLog:
    """Open the log that the setting names; `now` is in Unix seconds. Raise `StartError`."""
    epoch = secrets.token_hex(8)
    if store == MEMORY_STORE:
        return MemoryLog(epoch)
    try:
        return await SqliteLog.open(Path(store.removeprefix(SQLITE_STORE)), epoch, now)
    except StoreUnusable as problem:
        raise StartError(str(problem)) from None


def copy_log(store: str, target: Path) -> None:
    """Copy the log that the setting names to a file. Raise `StartError`."""
    if store == MEMORY_STORE:
        raise StartError(f"a log in memory cannot be copied; CHAT_STORE is {store}")
    try:
        back_up(Path(store.removeprefix(SQLITE_STORE)), target)
    except StoreUnusable as problem:
        raise StartError(str(problem)) from None


def write_log(store: str, out: BinaryIO) -> None:
    """Write a copy of the log that the setting names to `out`. Raise `StartError`."""
    if store == MEMORY_STORE:
        raise StartError(f"a log in memory cannot be copied; CHAT_STORE is {store}")
    try:
        write_backup(Path(store.removeprefix(SQLITE_STORE)), out)
    except StoreUnusable as problem:
        raise StartError(str(problem)) from None


def restore_log(store: str, source: BinaryIO, name: str) -> Path | None:
    """Replace the log that the setting names with a backup. Return the path of the old log. Raise `StartError`."""
    if store == MEMORY_STORE:
        raise StartError(f"a log in memory cannot be restored; CHAT_STORE is {store}")
    try:
        return restore(Path(store.removeprefix(SQLITE_STORE)), source, name)
    except StoreUnusable as problem:
        raise StartError(str(problem)) from None


def remove_member(store: str, member_id: str) -> str:
    """Ask the server that runs on this store to remove a member. Return its message. Raise `ControlError`."""
    return asyncio.run(kick(_reachable(store), member_id))


def release_name(store: str, name: str) -> str:
    """Ask the server that runs on this store to free a name. Return its message. Raise `ControlError`."""
    return asyncio.run(release(_reachable(store), name))


def _reachable(store: str) -> Path:
    if (path := _control_path(store)) is None:
        raise ControlError(f"a server with its log in memory cannot be reached; CHAT_STORE is {store}")
    return path


def _control_path(store: str) -> Path | None:
    return None if store == MEMORY_STORE else control_path(Path(store.removeprefix(SQLITE_STORE)))


async def _on_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Set the Server header, and mark the request as handled on its connection."""
    response.headers[hdrs.SERVER] = SERVER
    if connection := connection_of(request):
        connection.request_done(is_over=not response.keep_alive)


def _callback_limit() -> float:
    """Return the maximum of callbacks: each takes a file, and half of all files are for inbound connections."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if files == resource.RLIM_INFINITY else max(1, files // 2 - RESERVED_FILES)


def _connection_limit(wanted: int) -> int:
    """Return the maximum of connections: each client takes two files, one for each direction."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY or files // 2 >= wanted:
        return wanted
    few = "Using %d connections at most instead of CHAT_MAX_CONNECTIONS=%d: this process may open %d files"
    logs.server.warning(few, files // 2, wanted, files)
    return files // 2


async def _run_room(
    app: web.Application, settings: Settings, policy: AddressPolicy, around: Dependencies
) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        log = await open_log(settings.store, around.clock.unix())
        stack.push_async_callback(log.close)
        try:
            retention = await Retention.open(log, around.clock, settings.retention_days)
            stack.push_async_callback(retention.close)
            room = Room(
                log,
                Callbacks(Connector(around.resolver, policy, around.tls), around.exchange_seconds),
                around.clock,
                retention,
                evict_after=settings.evict_after,
                keep_name_seconds=DAY * min(settings.name_days, settings.retention_days),
                log_texts=settings.log_texts,
            )
            await room.open()
        except Unreadable as problem:
            raise StartError(f"cannot read {settings.store}: {problem}") from None
        limits = Limits(
            around.clock,
            rate=settings.rate,
            max_per_network=settings.max_per_address,
            max_callbacks=_callback_limit(),
        )
        refusals = Refusals(around.clock)
        stack.callback(refusals.close)
        methods = Methods(room, Registrar(room, settings.newcomers_key, limits), limits, refusals)
        app[ROOM] = room
        app[DISPATCHER] = JsonRpcDispatcher(methods.table(), once_per_batch={REGISTER})
        await stack.enter_async_context(_in_background(broadcast(log, room.delivery_context.idle), "broadcaster"))
        await stack.enter_async_context(_in_background(run_maintenance(room, around.clock), "maintenance"))
        stack.push_async_callback(room.close_now)
        if path := await asyncio.to_thread(_control_path, settings.store):
            await stack.enter_async_context(controlled(room, path))
        yield


@contextlib.asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run `work` as a background task while the block runs; log an error if it ends early."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_say_why)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _say_why(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        logs.server.error("Unexpected end of the background task %s", task.get_name(), exc_info=task.exception())


def _policy(settings: Settings, listener: ListeningSockets) -> AddressPolicy:
    """Return the policy for callback addresses, which also keeps the server from calling itself."""
    addresses = listener.addresses
    listens_everywhere = any(address.is_unspecified for address in addresses)
    return AddressPolicy(
        allow=settings.callback_allow,
        own=ThisMachine() if listens_everywhere else frozenset(addresses),
        own_port=listener.port,
        listens_on_loopback=listens_everywhere or any(address.is_loopback for address in addresses),
    )


class ThisMachine:
    """The current addresses of this machine, which change as interfaces come and go."""

    def __contains__(self, address: object) -> bool:
        """Return whether a socket can bind to `address`; no packet is sent."""
        family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
            return True
        return False
