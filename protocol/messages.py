"""The shapes that travel: the chat message, and the parameters and the result of each method.

The order of a parameter class's fields is the positional order of the method. A parameter class holds what can be said
of a parameter by itself; what depends on the room (is the name free?) is the server's to judge.
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

# `description` is what a caller reads as "expected …" when the value does not fit.
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
    """One message of the log, a notice included.

    `event` is None, "join", "leave", "rename", or one that a later server knows (then show `text`).
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
    """Somebody who is here, as `Register` tells it."""

    id: str
    name: str


class Member(Struct, frozen=True):
    """Somebody who is here, as `ListMembers` tells it.

    `state` is "online" or "unreachable"; `behind` counts the messages not yet acknowledged, None without a callback.
    """

    id: str
    name: str
    state: str
    behind: int | None


# Parameters of the server's methods.


class RegisterParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Register`: take a seat, or with the seat's token come back to it."""

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
    """`Unregister`: leave; id, token and place in the log are kept, and with `keep_name` the name too."""

    id: Id
    keep_name: Flag | None = None


class SendMessageParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`SendMessage`: say something to everybody else."""

    user_id: Id
    text: Text
    client_msg_id: Id | None = None


class GetHistoryParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GetHistory`: read the log before or after a `seq` (not both)."""

    before: Seq | None = None
    after: Seq | None = None
    limit: HistoryLimit | None = None


class ListMembersParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ListMembers`: who is here, ordered by id, after `after_id`."""

    after_id: Id | None = None
    limit: MembersLimit | None = None


class RenameParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Rename`: go by another name."""

    name: Name


class NoParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A method that takes none (`SetTyping`, `Ping`)."""


# Results of the server's methods.


class RegisterResult(Struct, frozen=True, kw_only=True):
    """What a newcomer, or one who resumes, needs to know. Token and secret are told here and nowhere else."""

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
    """The answer to `Unregister`."""

    success: bool
    message: str


class SendMessageResult(Struct, frozen=True):
    """The result of `SendMessage`, given after the message is stored as `seq`.

    `sent_at` is the one of the stored message. `repeated` is true when an earlier call stored it, else left out.
    """

    success: bool
    message: str
    seq: int
    sent_at: str
    repeated: bool | UnsetType = UNSET


class GetHistoryResult(Struct, frozen=True):
    """Messages oldest first; `oldest` is the oldest `seq` that is kept, `seq` the newest.

    `earlier` counts the messages that are kept before these.
    """

    messages: list[ChatMessage]
    oldest: int
    epoch: str
    seq: int
    earlier: int = 0


class ListMembersResult(Struct, frozen=True):
    """One page of members; `member_count` counts all."""

    members: list[Member]
    member_count: int
    seq: int


class RenameResult(Struct, frozen=True):
    """The answer to `Rename`: the name as it stands now."""

    success: bool
    message: str
    name: str


class SetTypingResult(Struct, frozen=True):
    """The answer to `SetTyping`."""

    success: bool


class PingResult(Struct, frozen=True):
    """Where the log and its caller stand; `callback` is the URL that is rung now, if any.

    `passed_over` counts the messages that the caller refused too often, and was not sent any more.
    """

    epoch: str
    seq: int
    cursor: int
    callback: str | None
    passed_over: int = 0


# Parameters and results of a client's methods.


class ReceiveMessageParams(Struct, frozen=True):
    """`ReceiveMessage`: one message of the log `epoch`, which the server always names."""

    message: ChatMessage
    epoch: str | UnsetType = UNSET


class ReceiveMessageResult(Struct, frozen=True):
    """The answer to `ReceiveMessage`."""

    success: bool


class VerifyCallbackParams(Struct, frozen=True):
    """`VerifyCallback`: give back this challenge."""

    challenge: str


class ReceiveTypingParams(Struct, frozen=True):
    """`ReceiveTyping`: somebody is writing."""

    sender_id: str
    sender_name: str
    room: str
