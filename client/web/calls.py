"""What the page may ask of its container, over the WebSocket: the server's methods less what the container settles.

Results are the server's own; `Register` is told neither token nor secret, and who speaks is settled by the cookie. The
container itself answers `GetTime`.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from client.errors import ClientError
from client.web.errors import PageError
from client.web.frames import NULL, Request, error_frame, read_params, read_request, result_frame
from client.web.session import Session
from client.web.tab import Tab
from protocol.errors import ErrorCode
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

GET_TIME: Final = "GetTime"  # of this page alone

logger = logging.getLogger(__name__)


class EnterParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page's `Register`: callback, secret and the rest are the container's business."""

    name: Name
    join_key: Key | None = None
    keep_name: bool = True  # not for a browser without cookies, which will not come back


class EnterResult(Struct, frozen=True, kw_only=True):
    """What the page is told of a `RegisterResult`."""

    id: str
    name: str
    epoch: str
    seq: int
    cursor: int
    members: list[MemberName]
    member_count: int


class SayParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page's `SendMessage`."""

    text: Text
    client_msg_id: Id | None = None


class TimeResult(Struct, frozen=True, kw_only=True):
    """`now` is the time of day here, for a browser whose clock is wrong."""

    success: bool
    now: str


async def answer(session: Session, tab: Tab, frame: str) -> bytes | None:
    """Give the answer to one frame of a tab; None to a notification. Raises nothing, whatever the frame holds."""
    try:
        request = read_request(frame)
    except PageError as error:
        return error_frame(NULL, error)
    try:
        answered = result_frame(request.id, await _call(session, tab, request))
    except ClientError as error:
        answered = error_frame(request.id, error)
    except Exception:  # a flaw of ours must cost this one call, not the tab, and must be seen in the log
        logger.exception("[ERROR] %s of the page failed", request.method)
        flaw = PageError(
            ErrorCode.INTERNAL_ERROR, "Something went wrong in the program behind this page. Its log says what."
        )
        answered = error_frame(request.id, flaw)
    return answered if request.id else None


async def _call(session: Session, tab: Tab, request: Request) -> Struct:
    if request.method not in METHODS:
        words = (
            f"This page is of another version than the program behind it, which has {', '.join(METHODS)}. Load it anew."
        )
        raise PageError(ErrorCode.METHOD_NOT_FOUND, words)
    shape, method = METHODS[request.method]
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
    session.seated()
    await session.leave(for_good=True)
    return UnregisterResult(success=True, message="Successfully unregistered")


async def _send_message(session: Session, tab: Tab, params: SayParams) -> SendMessageResult:
    return await session.say(tab, params.text, params.client_msg_id)


async def _get_history(session: Session, _tab: Tab, params: GetHistoryParams) -> GetHistoryResult:
    return await session.seated().history(before=params.before, after=params.after, limit=params.limit)


async def _list_members(session: Session, _tab: Tab, params: ListMembersParams) -> ListMembersResult:
    return await session.seated().members(after_id=params.after_id, limit=params.limit)


async def _rename(session: Session, _tab: Tab, params: RenameParams) -> RenameResult:
    name = await session.rename(params.name)
    return RenameResult(success=True, message=f"You are {name} now", name=name)


async def _set_typing(session: Session, _tab: Tab, _params: NoParams) -> SetTypingResult:
    await session.seated().set_typing()
    return SetTypingResult(success=True)


async def _get_time(_session: Session, _tab: Tab, _params: NoParams) -> TimeResult:
    """Answer without the server: whether the connection lives, however the server is."""
    return TimeResult(success=True, now=datetime.now(UTC).isoformat(timespec="milliseconds"))


# Any: each method takes the parameters of its own row, which `_call` reads by that row's shape.
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
