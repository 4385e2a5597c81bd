"""The types on the wire: the chat message, and the parameters and the result of each method.

The order of the fields of a parameter class is the positional order of the method. A parameter class defines the checks
that need no state; the server makes those that depend on the room, for instance whether a name is free.
"""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from protocol.join_key import MAX_KEY_CHARS
from protocol.methods import (
    MAX_CALLBACK_URL_CHARS,
    MAX_HISTORY,
    MAX_ID_CHARS,
    MAX_MEMBERS_PAGE,
    MAX_PUSH_BATCH,
)

ID_PATTERN: Final = rf"^[A-Za-z0-9._-]{{1,{MAX_ID_CHARS}}}\Z"

# `description` completes the error text "must be …".
Id = Annotated[str, Meta(pattern=ID_PATTERN, description=f"a string of 1 to {MAX_ID_CHARS} of A-Z a-z 0-9 . _ -")]
Name = Annotated[str, Meta(pattern=r"\S", description="a string that is not empty and not only white space")]
Text = Annotated[str, Meta(pattern=r"\S", description="a string that is not empty and not only white space")]
CallbackUrl = Annotated[
    str,
    Meta(
        pattern=r"\S",
        max_length=MAX_CALLBACK_URL_CHARS,
        description=f'an http or https URL of up to {MAX_CALLBACK_URL_CHARS} characters, or ":PORT/PATH"',
    ),
]
Seq = Annotated[int, Meta(ge=0, le=2**53, description="an integer, 0 or more (at most 2^53)")]
Key = Annotated[str, Meta(max_length=MAX_KEY_CHARS, description=f"a string of up to {MAX_KEY_CHARS} characters")]
MaxBatch = Annotated[int, Meta(ge=1, le=MAX_PUSH_BATCH, description=f"an integer from 1 to {MAX_PUSH_BATCH}")]
Accepts = Annotated[
    list[Annotated[str, Meta(max_length=64)]], Meta(max_length=64, description="an array of up to 64 method names")
]
Flag = Annotated[bool, Meta(description="a boolean, true or false")]
HistoryLimit = Annotated[int, Meta(ge=1, le=MAX_HISTORY, description=f"an integer from 1 to {MAX_HISTORY}")]
MembersLimit = Annotated[int, Meta(ge=1, le=MAX_MEMBERS_PAGE, description=f"an integer from 1 to {MAX_MEMBERS_PAGE}")]


class ChatMessage(Struct, frozen=True, kw_only=True):
    """A message or notice of the log.

    `event` is None, "join", "leave", "rename", or an event of a later server version (then show `text`).
    `sent_at` is RFC 3339 in UTC with milliseconds.
    """

    seq: int
    room: str
    sender_id: str
    sender_name: str
    text: str
    is_system: bool
    event: str | None
    sent_at: str
    client_msg_id: str | UnsetType = UNSET


class MemberName(Struct, frozen=True):
    """A present member, as `Register` returns it."""

    id: str
    name: str


class Member(Struct, frozen=True):
    """A present member, as `ListMembers` returns it.

    `state` is "online" or "unreachable"; `behind` is the number of messages not yet acknowledged, or None without a
    callback.
    """

    id: str
    name: str
    state: str
    behind: int | None


# Parameters of the server's methods.


class RegisterParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Register`: join as a new member, or resume membership with the member's token."""

    id: Id | None = None
    name: Name
    callback: CallbackUrl | None = None
    max_batch: MaxBatch | None = None
    secret: Key | None = None
    join_key: Key | None = None
    accepts: Accepts | None = None
    after: Seq | None = None
    keep_name: Flag | None = None


class UnregisterParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Unregister`: leave. The server keeps id, token and cursor, and with `keep_name` also the name."""

    id: Id
    keep_name: Flag | None = None


class SendMessageParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`SendMessage`: send a message to all other members."""

    user_id: Id
    text: Text
    client_msg_id: Id | None = None


class GetHistoryParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GetHistory`: read the log before or after a `seq` (not both)."""

    before: Seq | None = None
    after: Seq | None = None
    limit: HistoryLimit | None = None


class ListMembersParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ListMembers`: list the present members, ordered by id, after `after_id`."""

    after_id: Id | None = None
    limit: MembersLimit | None = None


class RenameParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Rename`: change the caller's name."""

    name: Name


class NoParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No parameters (`SetTyping`, `Ping`)."""


# Results of the server's methods.


class RegisterResult(Struct, frozen=True, kw_only=True):
    """The result of `Register`. No other result contains the token and the secret."""

    success: bool
    message: str
    id: str
    name: str
    token: str
    secret: str
    callback: str | None
    epoch: str
    seq: int
    cursor: int
    lost: int
    resumed: bool
    members: list[MemberName]
    member_count: int
    passed_over: int = 0


class UnregisterResult(Struct, frozen=True):
    """The result of `Unregister`."""

    success: bool
    message: str


class SendMessageResult(Struct, frozen=True):
    """The result of `SendMessage`, returned after the message is stored as `seq`.

    `sent_at` is that of the stored message. `repeated` is true if an earlier request stored it, and absent otherwise.
    """

    success: bool
    message: str
    seq: int
    sent_at: str
    repeated: bool | UnsetType = UNSET


class GetHistoryResult(Struct, frozen=True):
    """The result of `GetHistory`: messages, oldest first; `oldest` is the oldest `seq` that is kept, `seq` the newest.

    `earlier` is the number of kept messages before these.
    """

    messages: list[ChatMessage]
    oldest: int
    epoch: str
    seq: int
    earlier: int = 0


class ListMembersResult(Struct, frozen=True):
    """The result of `ListMembers`: a page of members; `member_count` is the number of all present members."""

    members: list[Member]
    member_count: int
    seq: int


class RenameResult(Struct, frozen=True):
    """The result of `Rename`: the new name, as it is stored."""

    success: bool
    message: str
    name: str


class SetTypingResult(Struct, frozen=True):
    """The result of `SetTyping`."""

    success: bool


class PingResult(Struct, frozen=True):
    """The result of `Ping`: the state of the log and of the caller; `callback` is the URL in use, if any.

    `passed_over` is the number of messages that the caller refused too often, and that are not sent again.
    """

    epoch: str
    seq: int
    cursor: int
    callback: str | None
    passed_over: int = 0


# Parameters and results of a client's methods.


class ReceiveMessageParams(Struct, frozen=True):
    """`ReceiveMessage`: a message of the log `epoch`. The server always sends the epoch."""

    message: ChatMessage
    epoch: str | UnsetType = UNSET


class ReceiveMessageResult(Struct, frozen=True):
    """The result of `ReceiveMessage`."""

    success: bool


class VerifyCallbackParams(Struct, frozen=True):
    """`VerifyCallback`: the result must be this challenge."""

    challenge: str


class ReceiveTypingParams(Struct, frozen=True):
    """`ReceiveTyping`: the member `sender_id` is typing."""

    sender_id: str
    sender_name: str
    room: str
