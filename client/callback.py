"""The JSON-RPC endpoint that the server rings: one per process, a path and a secret of its own for every seat."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

import msgspec
from aiohttp import web
from msgspec import Raw

from client.seat import NotNow
from protocol.errors import ContractError, ErrorCode, invalid_params, message_of
from protocol.json_text import (
    BYTE_ORDER_MARK,
    NO_TEXT,
    convert,
    field_with_half,
    has_marked_half,
    json_problem,
    mark_halves,
    unmark_halves,
)
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
from protocol.signing import ClocksApart, SignatureError, verify
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
        self._clocks_apart: dict[str, float] = {}
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
        self._clocks_apart.pop(seat, None)
        if self._seats.pop(seat, None) is not None:
            self._closed[seat] = None
            if len(self._closed) > CLOSED_SEATS_KEPT:
                self._closed.popitem(last=False)

    def clocks_apart(self, seat: str) -> float | None:
        """Give by how many seconds this computer's clock is ahead of the server's, if a call was refused for that."""
        return self._clocks_apart.get(seat)

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
            if isinstance(error, ClocksApart):
                self._clocks_apart[seat] = error.seconds
            raise web.HTTPUnauthorized from None
        self._clocks_apart.pop(seat, None)
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


class Call(msgspec.Struct):
    """A JSON-RPC request as it came; `id` goes back exactly so."""

    jsonrpc: Any = None
    method: Any = None
    params: Raw = Raw()
    id: Raw = Raw()


_CALL: Final = msgspec.json.Decoder(Call)
_CALLS: Final = msgspec.json.Decoder(list[Raw])
_NULL: Final = Raw(b"null")


def answer(body: bytes, receiver: Receiver) -> bytes | None:
    """Answer one JSON-RPC request, notification or batch (spec sections 4 to 6); None when nothing is to be said.

    Raises `NotNow` when `receiver` does at the first of it.
    """
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        body.decode()  # what is not looked at is not checked for this
        calls = _read_calls(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if (marked := mark_halves(body)) != body:
            return answer(marked, receiver)  # `_bound` refuses halves of surrogate pairs by field
        problem = {"problem": f"the body {json_problem(body)}"}
        return msgspec.json.encode(_failure(_NULL, ErrorCode.PARSE_ERROR, problem))
    reply = _answer_batch(calls, receiver) if isinstance(calls, list) else _answer_one(calls, receiver)
    return msgspec.json.encode(reply) if reply else None  # notifications have no answer


def _read_calls(body: bytes) -> list[Call | None] | Call | None:
    """Read a batch or one request; None stands for what is no object."""
    if body.lstrip()[:1] == b"[":
        return [_read_call(element) for element in _CALLS.decode(body)]
    return _read_call(body)


def _read_call(element: bytes | Raw) -> Call | None:
    try:
        return _CALL.decode(element)
    except msgspec.ValidationError:
        return None


def _answer_batch(calls: list[Call | None], receiver: Receiver) -> list[dict[str, Any]] | dict[str, Any]:
    """Answer one after the other, up to one that went wrong here or cannot be taken yet.

    What comes behind that one is left unanswered, and so comes again with it: taken now, it would make the one before
    it look like a repeat.
    """
    if not 0 < len(calls) <= MAX_PUSH_BATCH:
        return _failure(_NULL, ErrorCode.INVALID_REQUEST, {"problem": f"a batch holds 1 to {MAX_PUSH_BATCH} requests"})
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


def _answer_one(call: Call | None, receiver: Receiver) -> dict[str, Any] | None:
    if call is None or not _is_request(call):
        return _failure(_NULL, ErrorCode.INVALID_REQUEST, {"problem": "this is not a JSON-RPC 2.0 request"})
    try:
        result = _perform(call.method, call.params, receiver)
    except ContractError as error:
        reply = _failure(unmark_halves(call.id), error.code, error.data)
    except NotNow:
        raise
    except Exception:  # whatever a face trips over, the server hears JSON-RPC and does not put it down to the network
        _log.exception("could not take a %s", call.method)
        reply = _failure(unmark_halves(call.id), ErrorCode.INTERNAL_ERROR)
    else:
        reply = {"jsonrpc": "2.0", "result": result, "id": unmark_halves(call.id)}
    return reply if call.id else None


def _is_request(call: Call) -> bool:
    is_identified = _first(call.id) not in (b"t", b"f", b"[", b"{")  # a boolean, an array, an object
    has_params = _first(call.params) in (b"", b"[", b"{")
    return call.jsonrpc == "2.0" and isinstance(call.method, str) and is_identified and has_params


def _first(value: Raw) -> bytes:
    return bytes(memoryview(value)[:1])


def _perform(method: str, params: Raw, receiver: Receiver) -> object:
    if method == RECEIVE_MESSAGE:
        receiver.receive(_bound(params, ReceiveMessageParams).message)
        return ReceiveMessageResult(success=True)
    if method == VERIFY_CALLBACK:
        return _bound(params, VerifyCallbackParams).challenge
    if method == RECEIVE_TYPING:
        receiver.typing(_bound(params, ReceiveTypingParams))
        return True
    methods = f"{RECEIVE_MESSAGE}, {VERIFY_CALLBACK}, {RECEIVE_TYPING}"
    raise ContractError(ErrorCode.METHOD_NOT_FOUND, {"problem": f"there is no such method; this client has {methods}"})


def _bound(params: Raw, wanted: type[P]) -> P:
    """Read parameters given by name or by position; what the class does not know is left alone."""
    try:
        given = msgspec.json.decode(params or b"{}")
    except msgspec.DecodeError as error:  # a number that is out of range: nobody has read it before
        raise invalid_params(None, str(error)) from None
    if isinstance(given, list):
        given = dict(zip(wanted.__struct_fields__, given, strict=False))
    if has_marked_half(params) and (field := field_with_half(given)) is not None:
        raise invalid_params(field, NO_TEXT)
    try:
        return convert(given, wanted)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        raise invalid_params(path.rstrip("`") or None, problem) from None


def _failure(request_id: Raw, code: ErrorCode, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code.value, "message": message_of(code, data)}
    if data:
        error["data"] = data
    return {"jsonrpc": "2.0", "error": error, "id": request_id or _NULL}
