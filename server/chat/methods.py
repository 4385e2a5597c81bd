"""The JSON-RPC methods of the server: check the request, call the room, return the result."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from msgspec import UNSET, Struct

from protocol import methods as names
from protocol.errors import ContractError, ErrorCode, invalid_params
from protocol.messages import (
    GetHistoryParams,
    GetHistoryResult,
    ListMembersParams,
    ListMembersResult,
    NoParams,
    PingResult,
    RegisterParams,
    RegisterResult,
    RenameParams,
    RenameResult,
    SendMessageParams,
    SendMessageResult,
    SetTypingResult,
    UnregisterParams,
    UnregisterResult,
)
from protocol.messages import Member as MemberState
from server.chat.limits import Limits
from server.chat.members import Member
from server.chat.refusals import Refusals
from server.chat.registration import Registrar, checked_name
from server.chat.room import Room, hash_token, removed
from server.inbound.caller import Caller
from server.inbound.params import bind_params

P = TypeVar("P", bound=Struct)
Params = bytes  # as JSON

DEFAULT_HISTORY = 50
DEFAULT_MEMBERS = 100
# Each page of this size costs as much as a request without entries; see `Limits.ask`.
MESSAGES_FOR_ONE = 30
MEMBERS_FOR_ONE = 100


@dataclass(frozen=True, slots=True)
class CallContext:
    """The context of a request beside its parameters. `find_caller` is lazy, because few methods need the address.

    `is_caller_connected` returns False when the caller has shut down its sending side, so that it may have hung up.
    """

    find_caller: Callable[[], Caller]
    token: str | None
    is_caller_connected: Callable[[], bool] = lambda: True


Method = Callable[[CallContext, Params], Awaitable[Struct]]


class Methods:
    """Each method takes the context and its checked parameters, and returns its result or raises `ContractError`."""

    def __init__(self, room: Room, registrar: Registrar, limits: Limits, refusals: Refusals) -> None:
        self._refusals = refusals
        self._room = room
        self._registrar = registrar
        self._limits = limits

    def table(self) -> dict[str, Method]:
        """Return the methods by their names on the wire."""
        return {
            names.REGISTER: self._noting_refusals(checked(RegisterParams, self.register)),
            names.UNREGISTER: checked(UnregisterParams, self.unregister),
            names.SEND_MESSAGE: checked(SendMessageParams, self.send_message),
            names.GET_HISTORY: checked(GetHistoryParams, self.get_history),
            names.LIST_MEMBERS: checked(ListMembersParams, self.list_members),
            names.RENAME: checked(RenameParams, self.rename),
            names.SET_TYPING: checked(NoParams, self.set_typing),
            names.PING: checked(NoParams, self.ping),
        }

    async def register(self, context: CallContext, params: RegisterParams) -> RegisterResult:
        """Join the room, or return to it with a token."""
        return await self._registrar.register(params, context.token, context.find_caller(), context.is_caller_connected)

    async def unregister(self, context: CallContext, params: UnregisterParams) -> UnregisterResult:
        """Leave the room."""
        member = self._member(context, params.id)
        await self._room.leave(member.id, keep_name=bool(params.keep_name))
        return UnregisterResult(True, "Successfully unregistered")

    async def send_message(self, context: CallContext, params: SendMessageParams) -> SendMessageResult:
        """Store a message. The response confirms that it is stored."""
        member = self._speaker(context, params.user_id)
        if len(params.text) > names.MAX_TEXT_CHARS:
            raise ContractError(ErrorCode.TEXT_TOO_LONG, {"limit": names.MAX_TEXT_CHARS})
        entry, repeated = await self._room.say(member, params.text, params.client_msg_id)
        sent_at = entry.message.sent_at
        return SendMessageResult(True, "Message sent successfully", entry.seq, sent_at, True if repeated else UNSET)

    async def get_history(self, context: CallContext, params: GetHistoryParams) -> GetHistoryResult:
        """Return a page of the log."""
        limit = params.limit or DEFAULT_HISTORY
        self._asker(context, cost=1 + limit // MESSAGES_FOR_ONE)
        if params.before is not None and params.after is not None:
            raise invalid_params("before", "must not be given together with after")
        log = self._room.log
        if params.after is not None:
            entries = await log.read_after(params.after, limit)
        else:
            entries = await log.read_before(log.newest + 1 if params.before is None else params.before, limit)
        end = entries[0].seq - 1 if entries else min(params.after or 0, log.newest)
        earlier = log.count(log.oldest - 1, end)
        return GetHistoryResult([entry.message for entry in entries], log.oldest, log.epoch, log.newest, earlier)

    async def list_members(self, context: CallContext, params: ListMembersParams) -> ListMembersResult:
        """Return a page of the present members and their delivery states."""
        limit = params.limit or DEFAULT_MEMBERS
        self._asker(context, cost=1 + limit // MEMBERS_FOR_ONE)
        page = [
            member for member, _ in zip(self._room.members.present(params.after_id or ""), range(limit), strict=False)
        ]
        behind = await self._room.behind(page)
        states = [self._state_of(member, behind.get(member.id)) for member in page]
        return ListMembersResult(states, self._room.members.present_count, self._room.log.newest)

    async def rename(self, context: CallContext, params: RenameParams) -> RenameResult:
        """Change the name of the caller."""
        member, name = self._speaker(context), checked_name(params.name)
        self._room.check_name(name, member.id)
        await self._room.rename(member.id, name)
        return RenameResult(True, f"Successfully renamed to {name}", name)

    async def set_typing(self, context: CallContext, _params: NoParams) -> SetTypingResult:
        """Notify the other members that the caller is writing."""
        self._room.typing(self._speaker(context))
        return SetTypingResult(True)

    async def ping(self, context: CallContext, _params: NoParams) -> PingResult:
        """Record that the participant is alive, and retry a delivery that is backing off."""
        member = self._asker(context)
        if delivery := self._room.deliveries.get(member.id):
            delivery.retry_now()
        log = self._room.log
        passed_over = self._room.passed_over_of(member.id)
        return PingResult(log.epoch, log.newest, self._room.cursor_of(member.id), member.callback, passed_over)

    def _noting_refusals(self, register: Method) -> Method:
        async def noting(context: CallContext, params: Params) -> Struct:
            try:
                return await register(context, params)
            except ContractError as error:
                self._refusals.note(context.find_caller(), params, error)
                raise

        return noting

    def _speaker(self, context: CallContext, member_id: str | None = None) -> Member:
        """Return the member of a request that writes, and charge it. Raise -32001, -32002, -32006."""
        member = self._member(context, member_id)
        self._limits.charge_write(member.id)
        return member

    def _asker(self, context: CallContext, cost: int = 1) -> Member:
        """Return the member of a request that reads, and charge it. Raise -32001, -32002, -32006."""
        member = self._member(context)
        self._limits.charge_read(member.id, cost)
        return member

    def _member(self, context: CallContext, member_id: str | None = None) -> Member:
        """Return the present member with this token. Raise -32001, also for an unknown id, and -32002."""
        member = self._room.members.owner_of(hash_token(context.token or ""))
        if member is None or member_id not in (None, member.id):
            raise ContractError(ErrorCode.UNAUTHORIZED)
        if member.kicked:
            raise removed()
        if not member.present:
            raise ContractError(ErrorCode.AWAY)
        self._room.record_activity(member)
        return member

    def _state_of(self, member: Member, behind: int | None) -> MemberState:
        delivery = self._room.deliveries.get(member.id)
        unreachable = delivery is not None and delivery.outbox.is_unreachable
        state = "unreachable" if unreachable else "online"
        return MemberState(member.id, member.name, state, behind)


def checked(shape: type[P], method: Callable[[CallContext, P], Awaitable[Struct]]) -> Method:
    """Wrap a method to check and decode its parameters first."""

    async def call(context: CallContext, params: Params) -> Struct:
        return await method(context, bind_params(params, shape))

    return call
