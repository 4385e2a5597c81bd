"""The JSON-RPC endpoint that the server rings: one per process, a path and a secret of its own for every seat."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeGuard, TypeVar

import msgspec
from aiohttp import web

from client.seat import NotNow
from protocol.errors import ContractError, ErrorCode
from protocol.messages import (
    ChatMessage,
    ReceiveMessageParams,
    ReceiveMessageResult,
    ReceiveTypingParams,
    VerifyCallbackParams,
)
from protocol.methods import (
    CONTENT_TYPE,
    MAX_BODY_BYTES,
    MAX_PUSH_BATCH,
    RECEIVE_MESSAGE,
    RECEIVE_TYPING,
    REQUEST_READ_SECONDS,
    RPC_PATH,
    VERIFY_CALLBACK,
)
from protocol.signing import SignatureError, verify
from protocol.webhook_id import parse_messages_id

P = TypeVar("P", bound=msgspec.Struct)

CLOSED_SEATS_KEPT: Final = 1024
NOTIFICATIONS_KEPT: Final = 1024
PATIENCE_SECONDS: Final = 4.0  # within the 5 s that the server waits for an answer

_log = logging.getLogger(__name__)


class Receiver(Protocol):
    """Who sits at a seat."""

    async def follow(self, epoch: str) -> None:
        """Return when messages of the log `epoch` can be taken."""

    def receive(self, message: ChatMessage) -> None:
        """Take a message; they come in the order of arrival, repeats included."""

    def keep(self) -> None:
        """Remember what was taken; called before it is acknowledged."""

    def typing(self, who: ReceiveTypingParams) -> None:
        """Hear that somebody is writing."""


class CallbackEndpoint:
    """`POST /rpc/{seat}`, signed after Standard Webhooks with the seat's secret.

    401 without a good signature, 404 for a seat never seen, 410 for one that was closed (the server then knows at
    once that nobody sits there), 413 over 1 MiB, 503 for messages that cannot be taken yet; else 200 with JSON-RPC, or
    204 when only notifications came.
    """

    def __init__(self, now: Callable[[], float] = time.time, patience: float = PATIENCE_SECONDS) -> None:
        """`patience` is for how many seconds messages may wait until they can be taken."""
        self._now = now
        self._patience = patience
        self._seats: dict[str, tuple[bytes, Receiver]] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._notified: OrderedDict[tuple[str, str], None] = OrderedDict()

    def add_to(self, app: web.Application) -> None:
        """Add the route; `app` must read bodies of up to 1 MiB (aiohttp's own limit)."""
        app.router.add_post(RPC_PATH + "/{seat}", self._handle)

    def path(self, seat: str) -> str:
        """Give the path at which `seat` is rung."""
        return f"{RPC_PATH}/{seat}"

    def open(self, seat: str, secret_key: bytes, receiver: Receiver) -> None:
        """Let `receiver` be rung at `seat` by whoever signs with `secret_key`."""
        self._seats[seat] = (secret_key, receiver)

    def close(self, seat: str) -> None:
        """Let nobody be rung there any more; harmless for a seat that is not open."""
        if self._seats.pop(seat, None) is not None:
            self._closed[seat] = None
            if len(self._closed) > CLOSED_SEATS_KEPT:
                self._closed.popitem(last=False)

    async def _handle(self, request: web.Request) -> web.Response:
        seat = request.match_info["seat"]
        if seat not in self._seats:
            raise web.HTTPGone if seat in self._closed else web.HTTPNotFound
        body = await _read(request)
        if seat not in self._seats:  # closed while the body came in
            raise web.HTTPGone
        key, receiver = self._seats[seat]
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            webhook_id = verify(key, headers, body, self._now())
        except SignatureError as error:
            _log.warning("refused a call back: %s", error)
            raise web.HTTPUnauthorized from None
        if (messages := parse_messages_id(webhook_id)) is not None:
            await self._until_it_follows(receiver, messages.epoch)
            if seat not in self._seats:  # closed while it waited
                raise web.HTTPGone
        reply = self._take(seat, receiver, webhook_id, body)
        return web.Response(status=204) if reply is None else web.Response(body=reply, content_type=CONTENT_TYPE)

    def _take(self, seat: str, receiver: Receiver, webhook_id: str, body: bytes) -> bytes | None:
        """Answer what has come, but for notifications that come again: no `seq` tells those for what they are."""
        if (seat, webhook_id) in self._notified:
            return None
        try:
            reply = answer(body, receiver)
        except NotNow:
            raise _later() from None
        receiver.keep()
        if reply is None:
            self._notified[seat, webhook_id] = None
            if len(self._notified) > NOTIFICATIONS_KEPT:
                self._notified.popitem(last=False)
        return reply

    async def _until_it_follows(self, receiver: Receiver, epoch: str) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await receiver.follow(epoch)
        except TimeoutError:
            raise _later() from None


def _later() -> web.HTTPServiceUnavailable:
    """With a time to try again it is no failure that leads to an eviction."""
    return web.HTTPServiceUnavailable(headers={"Retry-After": "1"})


async def _read(request: web.Request) -> bytes:
    if request.transport is None:  # the server has hung up; aiohttp's own word for it would be a RuntimeError
        raise web.HTTPBadRequest
    try:
        async with asyncio.timeout(REQUEST_READ_SECONDS):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (web.RequestPayloadError, ConnectionError):  # chunks that are none, or the server has hung up
        raise web.HTTPBadRequest from None
    if len(body) > MAX_BODY_BYTES:
        raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, len(body))
    return body


def answer(body: bytes, receiver: Receiver) -> bytes | None:
    """Answer one JSON-RPC request, notification or batch (spec sections 4 to 6); None when nothing is to be said.

    Raises `NotNow` when `receiver` does at the first of it.
    """
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.json.encode(_failure(None, ErrorCode.PARSE_ERROR))
    reply: Any
    if not isinstance(given, list):
        reply = _answer_one(given, receiver)
    elif not 0 < len(given) <= MAX_PUSH_BATCH:
        reply = _failure(None, ErrorCode.INVALID_REQUEST)
    else:
        reply = _answer_batch(given, receiver) or None  # notifications have no answer
    return None if reply is None else msgspec.json.encode(reply)


def _answer_batch(calls: list[Any], receiver: Receiver) -> list[dict[str, Any]]:
    """Answer one after the other, up to one that went wrong here or cannot be taken yet.

    What comes behind that one is left unanswered, and so comes again with it: taken now, it would make the one before
    it look like a repeat.
    """
    answers: list[dict[str, Any]] = []
    for call in calls:
        try:
            answer = _answer_one(call, receiver)
        except NotNow:
            if not answers:
                raise
            break
        if answer is not None:
            answers.append(answer)
            if answer.get("error", {}).get("code") == ErrorCode.INTERNAL_ERROR:
                break
    return answers


def _answer_one(given: object, receiver: Receiver) -> dict[str, Any] | None:
    if not _is_request(given):
        return _failure(None, ErrorCode.INVALID_REQUEST)
    call: Mapping[str, Any] = given
    try:
        result = _perform(call["method"], call.get("params", {}), receiver)
    except ContractError as error:
        reply = _failure(call.get("id"), error.code, error.data)
    except NotNow:
        raise
    except Exception:  # whatever a face trips over, the server hears JSON-RPC and does not put it down to the network
        _log.exception("could not take a %s", call["method"])
        reply = _failure(call.get("id"), ErrorCode.INTERNAL_ERROR)
    else:
        reply = {"jsonrpc": "2.0", "result": result, "id": call.get("id")}
    return reply if "id" in call else None


def _is_request(given: object) -> TypeGuard[dict[str, Any]]:
    if not isinstance(given, dict) or given.get("jsonrpc") != "2.0" or not isinstance(given.get("method"), str):
        return False
    request_id = given.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | float | None):
        return False
    return isinstance(given.get("params", {}), dict | list)


def _perform(method: str, params: object, receiver: Receiver) -> object:
    if method == RECEIVE_MESSAGE:
        receiver.receive(_bound(params, ReceiveMessageParams).message)
        return ReceiveMessageResult(success=True)
    if method == VERIFY_CALLBACK:
        return _bound(params, VerifyCallbackParams).challenge
    if method == RECEIVE_TYPING:
        receiver.typing(_bound(params, ReceiveTypingParams))
        return True
    raise ContractError(ErrorCode.METHOD_NOT_FOUND)


def _bound(params: object, wanted: type[P]) -> P:
    """Read parameters given by name or by position; what the class does not know is left alone."""
    if isinstance(params, list):
        params = dict(zip(wanted.__struct_fields__, params, strict=False))
    try:
        return msgspec.convert(params, wanted)
    except msgspec.ValidationError as error:
        raise ContractError(ErrorCode.INVALID_PARAMS, {"problem": str(error)}) from None


def _failure(request_id: object, code: ErrorCode, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code.value, "message": code.message}
    if data:
        error["data"] = data
    return {"jsonrpc": "2.0", "error": error, "id": request_id}
