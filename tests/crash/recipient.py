"""A recipient as a process of its own: writes down what it takes, then answers, and comes back with its token.

    python -m tests.crash.recipient --server URL --name NAME --directory DIR --max-batch N --ping SECONDS

In the directory it keeps `NAME.jsonl` (see `tests.crash.recording`) and `NAME.token`. With `--ping 0` it does what a
plain bot does: it registers once, and never calls again. It prints `listening` when it can be rung and signalled: the
next time or two that it is rung with messages after SIGUSR1, it takes them and cuts the connection instead of
answering; after SIGUSR2 it takes none of them, or only the first few, and does so.
"""

import asyncio
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import msgspec
from aiohttp import web

from client.errors import CallRefused, ServerUnreachable
from client.session.rpc import ServerRpc
from protocol.errors import ErrorCode
from protocol.messages import (
    NoParams,
    PingResult,
    ReceiveMessageParams,
    ReceiveMessageResult,
    RegisterParams,
    RegisterResult,
    VerifyCallbackParams,
)
from protocol.methods import (
    CONTENT_TYPE,
    MAX_BODY_BYTES,
    PING,
    RECEIVE_MESSAGE,
    RECIPIENT_HEADER,
    REGISTER,
    VERIFY_CALLBACK,
)
from protocol.signing import SignatureError, encode_secret, verify
from tests.crash.calls import answer_of
from tests.crash.recording import Cut, Recorder, Refused, Registered, Started, Took, record_of

SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    server: str
    name: str
    directory: Path
    max_batch: int
    ping: float


class Call(msgspec.Struct, frozen=True):
    """A JSON-RPC request of the server."""

    method: str
    id: int | str
    params: msgspec.Raw


class Endpoint:
    """What the server rings. Each process has a path and a secret of its own, so that nobody else's call fits."""

    def __init__(self, name: str, recorder: Recorder) -> None:
        self.path = f"/rpc/{name}-{secrets.token_hex(8)}"
        self.key = secrets.token_bytes(SECRET_BYTES)
        self._name = name
        self._recorder = recorder
        self._cuts = {signal.SIGUSR1: 0, signal.SIGUSR2: 0}

    def cut(self, number: signal.Signals) -> None:
        """Cut the connection the next time, and perhaps the time after that.

        What is cut on a kept connection comes again at once on a new one; only cut there too it is a failure.
        """
        self._cuts[number] += random.choice((1, 2))

    async def start(self) -> int:
        """Listen; gives the port."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post(self.path, self._handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except (web.RequestPayloadError, ConnectionError):  # the server was killed in the middle of it
            raise web.HTTPBadRequest from None
        try:
            webhook_id = verify(self.key, _lower(request.headers), body, time.time())
            if request.headers.get(RECIPIENT_HEADER) != self._name:
                raise SignatureError(f"it is for {request.headers.get(RECIPIENT_HEADER)}")
            given = msgspec.json.decode(body, type=Call | list[Call])
            calls = given if isinstance(given, list) else [given]
            if calls[0].method == VERIFY_CALLBACK:
                answers = [_answer(calls[0], msgspec.json.decode(calls[0].params, type=VerifyCallbackParams).challenge)]
            else:
                answers = self._take(request, calls, epoch=webhook_id.rpartition("-")[0].rpartition("-")[0])
        except (SignatureError, msgspec.MsgspecError) as error:
            self._recorder.write(Refused(str(error)))
            raise web.HTTPUnauthorized from None
        reply = msgspec.json.encode(answers if isinstance(given, list) else answers[0])
        return web.Response(body=reply, content_type=CONTENT_TYPE)

    def _take(self, request: web.Request, calls: list[Call], epoch: str) -> list[object]:
        """Write down the messages, or what a cut leaves of them, and give the answers."""
        cut = next((number for number, left in self._cuts.items() if left), None)
        taken = calls[: random.choice((0, random.randrange(len(calls))))] if cut == signal.SIGUSR2 else calls
        for call in taken:
            if call.method != RECEIVE_MESSAGE:
                raise msgspec.ValidationError(f"{call.method} was not asked for")
            message = msgspec.json.decode(call.params, type=ReceiveMessageParams).message
            self._recorder.write(Took(record_of(message, epoch)))
        if cut is not None:
            self._cuts[cut] -= 1
            self._recorder.write(Cut(len(taken), len(calls)))
            assert request.transport is not None
            request.transport.abort()
        return [_answer(call, ReceiveMessageResult(success=True)) for call in calls]


class Seat:
    """Registers, and stays registered."""

    def __init__(self, options: Options, rpc: ServerRpc, endpoint: Endpoint, port: int, recorder: Recorder) -> None:
        self._options = options
        self._rpc = rpc
        self._endpoint = endpoint
        self._port = port
        self._recorder = recorder
        self._token_file = options.directory / f"{options.name}.token"
        self._token = self._token_file.read_text() if self._token_file.exists() else None

    async def keep(self) -> None:
        """Register, and then ping for ever; register again when the server was away."""
        await self._register()
        while self._options.ping:
            await asyncio.sleep(random.uniform(0.5, 1.5) * self._options.ping)
            if not await self._ping():
                await self._register()
        await asyncio.Event().wait()

    async def _register(self) -> None:
        params = RegisterParams(
            id=None if self._token else self._options.name,
            name=self._options.name,
            callback=f":{self._port}{self._endpoint.path}",
            max_batch=self._options.max_batch,
            secret=encode_secret(self._endpoint.key),
        )
        result = await answer_of(lambda: self._rpc.call(REGISTER, params, RegisterResult, self._token))
        self._keep_token(result.token)
        self._recorder.write(Registered(result.epoch, result.cursor, result.lost))
        click.echo("registered")

    async def _ping(self) -> bool:
        """Tell whether the server holds this seat."""
        try:
            await self._rpc.call(PING, NoParams(), PingResult, self._token)
        except ServerUnreachable:
            return False
        except CallRefused as error:
            if error.code != ErrorCode.AWAY:
                raise
            return False
        return True

    def _keep_token(self, token: str) -> None:
        if token != self._token:
            unfinished = self._token_file.with_suffix(".new")
            unfinished.write_text(token)
            unfinished.replace(self._token_file)
            self._token = token


def _answer(call: Call, result: object) -> object:
    return {"jsonrpc": "2.0", "id": call.id, "result": result}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


async def run(options: Options) -> None:
    """Run until killed."""
    recorder = Recorder(options.directory / f"{options.name}.jsonl")
    endpoint = Endpoint(options.name, recorder)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        asyncio.get_running_loop().add_signal_handler(number, endpoint.cut, number)
    recorder.write(Started(os.getpid()))
    port = await endpoint.start()
    click.echo("listening")
    async with aiohttp.ClientSession() as session:
        await Seat(options, ServerRpc(session, options.server), endpoint, port, recorder).keep()


@click.command("python -m tests.crash.recipient")
@click.option("--server", required=True)
@click.option("--name", required=True)
@click.option("--directory", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--max-batch", required=True, type=int)
@click.option("--ping", required=True, type=float)
def main(**options: Any) -> None:
    """Take what comes."""
    sys.exit(asyncio.run(run(Options(**options))))


if __name__ == "__main__":
    main()
