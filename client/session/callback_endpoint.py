"""The JSON-RPC endpoint for callbacks: one per process, with a path and a secret for each registration."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec
from aiohttp import web
from msgspec import Raw

from client.session.inbox import NotNow
from protocol.errors import ContractError, ErrorCode, invalid_params
from protocol.json_text import NO_TEXT, convert, field_with_half, has_marked_half, json_problem, mark_halves
from protocol.jsonrpc import NOT_A_REQUEST, NULL, UNREADABLE, failure, read_request, split, success
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

CLOSED_INBOXES_KEPT: Final = 1024
NOTIFICATIONS_KEPT: Final = 1024
PATIENCE_SECONDS: Final = 4.0  # less than the 5 s that the server waits for a response

_log = logging.getLogger(__name__)


class MessageReceiver(Protocol):
    """Receives the messages that arrive at a callback path."""

    async def wait_until_open(self, epoch: str) -> None:
        """Wait until messages of the log `epoch` can be accepted."""

    def receive(self, message: ChatMessage) -> None:
        """Accept a message, in the order of arrival, repeats included. Raise `NotNow` to receive it again later."""

    def keep(self) -> None:
        """Store which messages were accepted; called before they are acknowledged."""

    def typing(self, who: ReceiveTypingParams) -> None:
        """Accept the notification that a member is typing."""


class CallbackEndpoint:
    """`POST /rpc/{inbox_id}`, signed as in Standard Webhooks with the secret of that path.

    Status codes: 200 with JSON-RPC; 204 if the body holds only notifications; 401 without a valid signature; 404 for an
    unknown path; 410 for a closed path (the server then removes the member at once); 413 over 1 MiB; 503 for messages
    that cannot be accepted yet.
    """

    def __init__(self, now: Callable[[], float] = time.time, patience: float = PATIENCE_SECONDS) -> None:
        """`patience`: the seconds for which messages may wait until they can be accepted."""
        self._now = now
        self._patience = patience
        self._inboxes: dict[str, tuple[bytes, MessageReceiver]] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._clocks_apart: dict[str, float] = {}
        self._notified: OrderedDict[tuple[str, str], None] = OrderedDict()

    def add_to(self, app: web.Application) -> None:
        """Add the route; `app` must read bodies of up to 1 MiB (aiohttp's own limit)."""
        app.router.add_post(RPC_PATH + "/{inbox_id}", self._handle)

    def path(self, inbox_id: str) -> str:
        """Return the callback path of `inbox_id`."""
        return f"{RPC_PATH}/{inbox_id}"

    def open(self, inbox_id: str, secret_key: bytes, receiver: MessageReceiver) -> None:
        """Deliver requests at the path of `inbox_id` to `receiver` if they are signed with `secret_key`."""
        self._inboxes[inbox_id] = (secret_key, receiver)

    def close(self, inbox_id: str) -> None:
        """Respond with 410 at the path of `inbox_id` from now on. Does nothing if the path is not open."""
        self._clocks_apart.pop(inbox_id, None)
        if self._inboxes.pop(inbox_id, None) is not None:
            self._closed[inbox_id] = None
            if len(self._closed) > CLOSED_INBOXES_KEPT:
                self._closed.popitem(last=False)

    def clocks_apart(self, inbox_id: str) -> float | None:
        """Return the seconds by which this clock is ahead of the server's, if signatures failed for that; else None."""
        return self._clocks_apart.get(inbox_id)

    async def _handle(self, request: web.Request) -> web.Response:
        inbox_id = request.match_info["inbox_id"]
        if inbox_id not in self._inboxes:
            raise web.HTTPGone if inbox_id in self._closed else web.HTTPNotFound
        body = await _read(request)
        if inbox_id not in self._inboxes:  # closed while the body arrived
            raise web.HTTPGone
        key, receiver = self._inboxes[inbox_id]
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            webhook_id = verify(key, headers, body, self._now())
        except SignatureError as error:
            _log.warning("Refused a callback request: %s", error)
            if isinstance(error, ClocksApart):
                self._clocks_apart[inbox_id] = error.seconds
            raise web.HTTPUnauthorized from None
        self._clocks_apart.pop(inbox_id, None)
        if (messages := parse_messages_id(webhook_id)) is not None:
            await self._until_it_follows(receiver, messages.epoch)
            if inbox_id not in self._inboxes:  # closed while the request waited
                raise web.HTTPGone
        reply = self._take(inbox_id, receiver, webhook_id, body)
        return web.Response(status=204) if reply is None else web.Response(body=reply, content_type=CONTENT_TYPE)

    def _take(self, inbox_id: str, receiver: MessageReceiver, webhook_id: str, body: bytes) -> bytes | None:
        """Return the response body; None for notifications. These have no `seq`: a repeated webhook id is ignored."""
        if (inbox_id, webhook_id) in self._notified:
            return None
        try:
            reply = respond(body, receiver)
        except NotNow:
            raise _later() from None
        receiver.keep()
        if reply is None:
            self._notified[inbox_id, webhook_id] = None
            if len(self._notified) > NOTIFICATIONS_KEPT:
                self._notified.popitem(last=False)
        return reply

    async def _until_it_follows(self, receiver: MessageReceiver, epoch: str) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await receiver.wait_until_open(epoch)
        except TimeoutError:
            raise _later() from None


def _later() -> web.HTTPServiceUnavailable:
    """Return a 503. With `Retry-After`, the server does not count it as a failure that leads to an eviction."""
    return web.HTTPServiceUnavailable(headers={"Retry-After": "1"})


async def _read(request: web.Request) -> bytes:
    if request.transport is None:  # the server has disconnected; aiohttp would raise a RuntimeError
        raise web.HTTPBadRequest
    try:
        async with asyncio.timeout(REQUEST_READ_SECONDS):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (web.RequestPayloadError, ConnectionError):  # malformed chunks, or the server has disconnected
        raise web.HTTPBadRequest from None
    if len(body) > MAX_BODY_BYTES:
        raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, len(body))
    return body


def respond(body: bytes, receiver: MessageReceiver) -> bytes | None:
    """Return the response to a JSON-RPC request, notification or batch (sections 4 to 6); None: no response is due.

    Raise `NotNow` if `receiver` raises it for the first request.
    """
    try:
        is_batch, elements = split(body)
    except UNREADABLE:
        if (marked := mark_halves(body)) != body:
            return respond(marked, receiver)  # `_bound` refuses halves of surrogate pairs by field
        return msgspec.json.encode(failure(NULL, ErrorCode.PARSE_ERROR, {"problem": f"the body {json_problem(body)}"}))
    response = _respond_to_batch(elements, receiver) if is_batch else _respond_to_one(elements[0], receiver)
    return msgspec.json.encode(response) if response else None  # notifications have no response


def _respond_to_batch(elements: list[Raw], receiver: MessageReceiver) -> list[dict[str, Any]] | dict[str, Any]:
    """Process the requests in order, up to an internal error or a message that cannot be accepted yet.

    The requests after it get no response, so the server sends them again. Accepting them now would raise `taken` past
    the failed message, whose repeat would then be dropped.
    """
    if not 0 < len(elements) <= MAX_PUSH_BATCH:
        return failure(NULL, ErrorCode.INVALID_REQUEST, {"problem": f"a batch holds 1 to {MAX_PUSH_BATCH} requests"})
    responses: list[dict[str, Any]] = []
    for element in elements:
        try:
            response = _respond_to_one(element, receiver)
        except NotNow:
            if not responses:
                raise
            break
        if response is not None:
            responses.append(response)
            if response.get("error", {}).get("code") == ErrorCode.INTERNAL_ERROR:
                break
    return responses


def _respond_to_one(element: Raw, receiver: MessageReceiver) -> dict[str, Any] | None:
    request = read_request(element)
    if request is None:
        return failure(NULL, ErrorCode.INVALID_REQUEST, {"problem": NOT_A_REQUEST})
    if (problem := request.problem) is not None:
        return failure(request.response_id, ErrorCode.INVALID_REQUEST, {"problem": problem})
    try:
        response = success(request.response_id, _perform(request.name, request.params, receiver))
    except ContractError as error:
        response = failure(request.response_id, error.code, error.data)
    except NotNow:
        raise
    except Exception:  # a failing face must not look like a network failure to the server
        _log.exception("Could not process a %s request", request.name)
        response = failure(request.response_id, ErrorCode.INTERNAL_ERROR)
    return response if request.id else None


def _perform(method: str | None, params: Raw, receiver: MessageReceiver) -> object:
    if method == RECEIVE_MESSAGE:
        receiver.receive(_bound(params, ReceiveMessageParams).message)
        return ReceiveMessageResult(success=True)
    if method == VERIFY_CALLBACK:
        return _bound(params, VerifyCallbackParams).challenge
    if method == RECEIVE_TYPING:
        receiver.typing(_bound(params, ReceiveTypingParams))
        return True
    methods = f"{RECEIVE_MESSAGE}, {VERIFY_CALLBACK}, {RECEIVE_TYPING}"
    raise ContractError(ErrorCode.METHOD_NOT_FOUND, {"problem": f"unknown method; this client has {methods}"})


def _bound(params: Raw, wanted: type[P]) -> P:
    """Convert parameters given by name or by position; unknown fields are ignored. Raise `ContractError`."""
    try:
        given = msgspec.json.decode(params or b"{}")
    except msgspec.DecodeError as error:  # a number out of range; msgspec.Raw does not check that
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
