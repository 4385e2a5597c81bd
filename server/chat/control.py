"""Operator commands for a running server: JSON-RPC over a Unix socket beside the store, for its owner only."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final, cast

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Struct

from protocol import jsonrpc
from protocol.errors import invalid_params
from protocol.messages import Name
from protocol.methods import CONTENT_TYPE, RPC_PATH
from server import logs
from server.chat.members import Member
from server.chat.methods import CallContext, checked
from server.chat.room import Room
from server.errors import ControlError
from server.inbound.caller import Caller
from server.inbound.dispatcher import JsonRpcDispatcher

KICK: Final = "Kick"
RELEASE: Final = "Release"
CALL_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 0.1
MODE: Final = 0o600
LONGEST_ADDRESS: Final = 107  # bytes: `sun_path` has 108 on Linux, with the final zero
OPEN_FILES: Final = Path("/proc/self/fd")


class KickParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Kick`: remove a member and reject its token from then on."""

    id: Name  # not `Id`: the operator may type any text, and the error says where to find IDs


class ReleaseParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Release`: free a name that is kept for a member that is away."""

    name: Name


class Done(Struct, frozen=True):
    """The result: `message` is a sentence for the operator."""

    success: bool
    message: str


class Control:
    """The methods that an operator may call."""

    def __init__(self, room: Room) -> None:
        self._room = room
        methods = {KICK: checked(KickParams, self.kick), RELEASE: checked(ReleaseParams, self.release)}
        self._dispatcher = JsonRpcDispatcher(methods)

    async def kick(self, _context: CallContext, params: KickParams) -> Done:
        """Remove a member, present or away."""
        member = self._room.members.get(params.id)
        if member is None:
            raise invalid_params("id", self._no_such(params.id))
        await self._room.kick(member.id)
        how = "is removed" if member.present else "was away; its token is rejected from now on"
        return Done(success=True, message=f"{member.name} (ID: {member.id}) {how}")

    async def release(self, _context: CallContext, params: ReleaseParams) -> Done:
        """Free a name and the names that look like it."""
        freed: list[Member] = []
        while (holder := self._room.holder_of(params.name)) is not None and not holder.present:
            await self._room.release(holder.id)
            freed.append(holder)
        if holder is not None:
            problem = f"is the name of a member that is present (ID: {holder.id}); kick removes a member"
            raise invalid_params("name", problem)
        if not freed:
            raise invalid_params("name", "is not the name of a member, so it is free")
        owners = ", ".join(f"{member.name} (ID: {member.id})" for member in freed)
        return Done(success=True, message=f"{params.name} is free now; it was kept for {owners}")

    async def handle(self, request: web.Request) -> web.Response:
        """Respond to a POST."""
        answer = await self._dispatcher.dispatch(await request.read(), CallContext(lambda: Caller(None), None))
        return web.Response(body=answer, content_type=CONTENT_TYPE)

    def _no_such(self, given: str) -> str:
        named = next((member for member in self._room.members.present() if member.name == given), None)
        where = f"the member called {given} has the ID {named.id}" if named else "the log and ListMembers show IDs"
        return f"is not the ID of a member; {where}"


@contextlib.asynccontextmanager
async def controlled(room: Room, path: Path) -> AsyncIterator[None]:
    """Listen for operators at `path` while the block runs. Log a warning and go on if `path` cannot be bound."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            listener = stack.enter_context(await asyncio.to_thread(_bind, path))
        except OSError as error:
            logs.server.warning("Operator commands are off: cannot listen at %s: %s", path, error)
        else:
            stack.push_async_callback(asyncio.to_thread, path.unlink, missing_ok=True)
            app = web.Application()
            app.router.add_post(RPC_PATH, Control(room).handle)
            runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=CLOSE_SECONDS)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            make_protocol = cast("web.Server", runner.server)  # set by `setup`
            accepting = await asyncio.get_running_loop().create_unix_server(make_protocol, sock=listener)
            stack.callback(accepting.close)
        yield


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # of a killed server: this server holds the store's lock, so no other uses it
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address_of(path) as address:
            listener.bind(address)
        path.chmod(MODE)  # before it listens: until then no client can connect
    except OSError:
        listener.close()
        raise
    return listener


@contextlib.contextmanager
def _address_of(path: Path) -> Iterator[str]:
    """Yield an address for the socket at `path`, through an open directory if the path is too long (unix(7))."""
    if len(os.fsencode(path)) <= LONGEST_ADDRESS or sys.platform != "linux":
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield str(OPEN_FILES / str(directory) / path.name)
    finally:
        os.close(directory)


async def kick(path: Path, member_id: str) -> str:
    """Ask the server that listens at `path` to remove a member. Return its message. Raise `ControlError`."""
    return await _ask(path, KICK, "id", member_id)


async def release(path: Path, name: str) -> str:
    """Ask the server that listens at `path` to free a name. Return its message. Raise `ControlError`."""
    return await _ask(path, RELEASE, "name", name)


async def _ask(path: Path, method: str, field: str, given: str) -> str:
    request = jsonrpc.request(method, {field: given}, 1)
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
    try:
        with _address_of(path) as address:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(address), timeout=timeout) as session,
                session.post(f"http://localhost{RPC_PATH}", json=request) as response,
            ):
                answer = msgspec.json.decode(await response.read())
    except TimeoutError:
        raise ControlError(f"no server answers at {path}: no response within {CALL_SECONDS:.0f} s") from None
    except OSError as error:
        raise ControlError(f"no server answers at {path}: {error.strerror or error}") from None
    except (aiohttp.ClientError, msgspec.DecodeError):
        raise ControlError(f"the process at {path} is not a server of this version") from None
    if "error" in answer:
        data = answer["error"].get("data", {})
        raise ControlError(f"{given} {data['problem']}" if "problem" in data else answer["error"]["message"])
    return str(answer["result"]["message"])
