"""The JSON-RPC methods that the page calls over its WebSocket: the server's methods without the parts this client adds.

Results are those of the server, except that the result of `Register` contains neither token nor secret. The cookie
determines the sender. This client answers `GetTime` itself.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from client.errors import ClientError
from client.faces.web.errors import PageError
from client.faces.web.frames import error_frame, read_params, read_request, result_frame
from client.faces.web.session import Session
from client.faces.web.tab import Tab
from protocol.errors import ErrorCode
from protocol.jsonrpc import NULL, Request
from protocol.messages import (
    GetHistoryParams,
    GetHistoryResult,
    Id,
    Key,
    ListMembersParams,
    ListMembersResult,
    MemberName,
    Name,
    NoParams,
    RenameParams,
    RenameResult,
    SendMessageResult,
    SetTypingResult,
    Text,
    UnregisterResult,
)
from protocol.methods import GET_HISTORY, LIST_MEMBERS, REGISTER, RENAME, SEND_MESSAGE, SET_TYPING, UNREGISTER

GET_TIME: Final = "GetTime"  # a method between page and client only, not part of the wire contract

logger = logging.getLogger(__name__)


class EnterParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of the page's `Register`; this client adds callback, secret and the rest."""

    name: Name
    join_key: Key | None = None
    keep_name: bool = True  # False for a browser without cookies, which cannot return to its registration


class EnterResult(Struct, frozen=True, kw_only=True):
    """The fields of `RegisterResult` that the page receives."""

    id: str
    name: str
    epoch: str
    seq: int
    cursor: int
    members: list[MemberName]
    member_count: int


class SayParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of the page's `SendMessage`."""

    text: Text
    client_msg_id: Id | None = None


class TimeResult(Struct, frozen=True, kw_only=True):
    """The result of `GetTime`. `now` is this client's time, for a browser whose clock is wrong."""

    success: bool
    now: str


async def answer(session: Session, tab: Tab, frame: str) -> bytes | None:
    """Return the response to a frame from a tab, or None for a notification. No content of a frame makes it raise."""
    try:
        request = read_request(frame)
    except PageError as error:
        return error_frame(NULL, error)
    try:
        answered = result_frame(request.response_id, await _call(session, tab, request))
    except ClientError as error:
        answered = error_frame(request.response_id, error)
    except Exception:  # a bug must fail only this request, not the tab, and must appear in the log
        logger.exception("[ERROR] Internal error in method %s of the page", request.name)
        flaw = PageError(
            ErrorCode.INTERNAL_ERROR, "Internal error in the program that serves this page. Its log has the details."
        )
        answered = error_frame(request.response_id, flaw)
    return answered if request.id else None


async def _call(session: Session, tab: Tab, request: Request) -> Struct:
    if request.name not in METHODS:
        words = (
            "This page does not match the version of the program that serves it, which supports"
            f" {', '.join(METHODS)}. Reload the page."
        )
        raise PageError(ErrorCode.METHOD_NOT_FOUND, words)
    shape, method = METHODS[request.name]
    return await method(session, tab, read_params(request, shape))


async def _register(session: Session, _tab: Tab, params: EnterParams) -> EnterResult:
    entered = await session.enter(params.name, params.join_key, keep_name=params.keep_name)
    return EnterResult(
        id=entered.id,
        name=entered.name,
        epoch=entered.epoch,
        seq=entered.seq,
        cursor=entered.cursor,
        members=entered.members,
        member_count=entered.member_count,
    )


async def _unregister(session: Session, _tab: Tab, _params: NoParams) -> UnregisterResult:
    session.participant()
    await session.leave(for_good=True)
    return UnregisterResult(success=True, message="Successfully unregistered")


async def _send_message(session: Session, tab: Tab, params: SayParams) -> SendMessageResult:
    return await session.say(tab, params.text, params.client_msg_id)


async def _get_history(session: Session, _tab: Tab, params: GetHistoryParams) -> GetHistoryResult:
    return await session.participant().history(before=params.before, after=params.after, limit=params.limit)


async def _list_members(session: Session, _tab: Tab, params: ListMembersParams) -> ListMembersResult:
    return await session.participant().members(after_id=params.after_id, limit=params.limit)


async def _rename(session: Session, _tab: Tab, params: RenameParams) -> RenameResult:
    name = await session.rename(params.name)
    return RenameResult(success=True, message=f"You are {name} now", name=name)


async def _set_typing(session: Session, _tab: Tab, _params: NoParams) -> SetTypingResult:
    await session.participant().set_typing()
    return SetTypingResult(success=True)


async def _get_time(_session: Session, _tab: Tab, _params: NoParams) -> TimeResult:
    """Respond without calling the server: the page checks its connection to this client with this method."""
    return TimeResult(success=True, now=datetime.now(UTC).isoformat(timespec="milliseconds"))


# Any: each method takes the parameter type of its own row, and `_call` decodes the parameters into that type.
METHODS: Final[dict[str, tuple[type[Struct], Callable[[Session, Tab, Any], Awaitable[Struct]]]]] = {
    REGISTER: (EnterParams, _register),
    UNREGISTER: (NoParams, _unregister),
    SEND_MESSAGE: (SayParams, _send_message),
    GET_HISTORY: (GetHistoryParams, _get_history),
    LIST_MEMBERS: (ListMembersParams, _list_members),
    RENAME: (RenameParams, _rename),
    SET_TYPING: (NoParams, _set_typing),
    GET_TIME: (NoParams, _get_time),
}
