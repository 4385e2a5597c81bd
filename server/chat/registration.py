"""`Register`: the checks of id, name, token and limits, and the proof that the caller owns the callback."""

import contextlib
import hmac
import re
import secrets
from collections.abc import Callable
from itertools import islice
from typing import Final

from msgspec import structs

from protocol.errors import ContractError, ErrorCode, invalid_params
from protocol.join_key import without_line_ends
from protocol.messages import MemberName, RegisterParams, RegisterResult
from protocol.methods import MEMBERS_IN_REGISTER, RECEIVE_TYPING
from protocol.signing import SecretError, Signer, decode_secret, encode_secret
from server.callbacks.callback import Callback
from server.callbacks.callback_url import CallbackProblem, CallbackUrl, resolve_callback
from server.callbacks.connector import AddressNotAllowed, CallbackError
from server.callbacks.exchange import Failed
from server.chat.limits import Limits
from server.chat.members import Member, network_of_member
from server.chat.names import NameProblem, normalize_name
from server.chat.room import Room, hash_token, removed
from server.delivery.delivery import new_challenge
from server.delivery.responses import judge_proof
from server.inbound.caller import Caller
from server.net.addresses import network_of

OPTIONAL_METHODS: Final = frozenset({RECEIVE_TYPING})
TOKEN_BYTES: Final = 32
SECRET_BYTES: Final = 32
HUNG_UP: Final = (
    "many callbacks were being verified, and while this request waited, its caller hung up or shut down its sending"
    " side; register again, and keep the connection open"
)


def checked_name(text: str) -> str:
    """Return the normalized name. Raise -32602."""
    try:
        return normalize_name(text)
    except NameProblem as problem:
        raise invalid_params("name", str(problem)) from None


class Registrar:
    """Runs the checks of `Register` in the order of the contract. Changes no member before all checks have passed."""

    def __init__(self, room: Room, join_key: str | None, limits: Limits) -> None:
        """Without a `join_key`, any caller may register."""
        self._room = room
        self._join_key = join_key
        self._limits = limits

    async def register(
        self, params: RegisterParams, token: str | None, caller: Caller, is_caller_connected: Callable[[], bool]
    ) -> RegisterResult:
        """Register a newcomer, or with its token a returning member."""
        network = network_of(caller.address)
        self._limits.charge_registration(network)
        name = checked_name(params.name)
        given_secret = _given_secret(params.secret)
        url = _settled_url(params.callback, caller)
        owner = self._room.members.owner_of(hash_token(token)) if token else None
        if not token:
            self._check_join_key(params.join_key)
        self._check_claims(params.id, name, token, owner)
        self._check_after(params.after)
        self._check_limits(owner, name, network, has_callback=url is not None)
        token = token or secrets.token_urlsafe(TOKEN_BYTES)
        member = Member(
            id=owner.id if owner else params.id or self._new_id(name),
            name=name,
            token_hash=hash_token(token),
            secret=given_secret or (owner.secret if owner else secrets.token_bytes(SECRET_BYTES)),
            caller=str(caller.address or ""),
            callback=url.text if url else None,
            max_batch=params.max_batch or 1,
            accepts=OPTIONAL_METHODS.intersection(params.accepts or ()),
            present=True,
            changed_at=self._room.retention.now(),
            keeps_name=bool(params.keep_name),
        )
        with self._limits.reserve_place(network, member.id, self._room.members):
            callback = await self._proven_callback(url, caller, member, is_caller_connected) if url else None
            with contextlib.ExitStack() as undo:
                if callback is not None:
                    undo.callback(callback.close)  # the proof leaves its connection open
                if given_secret is None and (now := self._room.members.get(member.id)) is not None:
                    member = structs.replace(member, secret=now.secret)  # another resume may have set it
                await self._room.enter(member, callback, params.after)
                undo.pop_all()
        return self._result(member, token, resumed=owner is not None)

    def _check_limits(self, owner: Member | None, name: str, network: str, *, has_callback: bool) -> None:
        members, deliveries = self._room.members, self._room.deliveries
        if owner is None or network_of_member(owner) != network:
            self._limits.check_newcomers(network, members.known_from(network))
        if owner is not None and (not owner.present or owner.name != name):
            self._limits.charge_write(owner.id)  # it adds a notice to the log
        if has_callback and (owner is None or owner.id not in deliveries):
            self._limits.check_callbacks(len(deliveries))

    def _check_join_key(self, given: str | None) -> None:
        if self._join_key and not hmac.compare_digest(without_line_ends(given or "").encode(), self._join_key.encode()):
            raise ContractError(ErrorCode.JOIN_KEY_WRONG)

    def _check_after(self, after: int | None) -> None:
        if after is not None and after > self._room.log.newest:
            raise invalid_params("after", "must be at most the newest seq of this log")

    def _check_claims(self, member_id: str | None, name: str, token: str | None, owner: Member | None) -> None:
        if token and (owner is None or member_id not in (None, owner.id)):
            raise ContractError(ErrorCode.UNAUTHORIZED)
        if owner is not None and owner.kicked:
            raise removed()
        if owner is None and member_id is not None and self._room.members.get(member_id) is not None:
            raise ContractError(ErrorCode.TAKEN, {"field": "id"})
        self._room.check_name(name, owner.id if owner else None)

    async def _proven_callback(
        self, url: CallbackUrl, caller: Caller, member: Member, is_caller_connected: Callable[[], bool]
    ) -> Callback:
        """Return the callback at `url` after a successful `VerifyCallback`. Raise -32004, -32005."""
        if caller.proxied:
            setting = "the request came through a proxy that is not in CHAT_TRUSTED_PROXIES"
            raise ContractError(ErrorCode.ADDRESS_NOT_ALLOWED, {"url": url.text, "detail": setting})
        callback = self._room.callbacks.to(url, caller.address, member.id)
        try:
            failure = await self._challenge(callback, member.secret, network_of(caller.address), is_caller_connected)
        except AddressNotAllowed as error:
            data = {"url": url.text, "detail": error.failure.detail}
            raise ContractError(ErrorCode.ADDRESS_NOT_ALLOWED, data) from None
        if failure is not None:
            callback.close()
            data = {"url": url.text, "stage": failure.stage, "detail": failure.detail}
            raise ContractError(ErrorCode.CALLBACK_UNREACHABLE, data)
        return callback

    async def _challenge(
        self, callback: Callback, secret: bytes, network: str, is_caller_connected: Callable[[], bool]
    ) -> Failed | None:
        """Return why the proof failed, None if it succeeded. Raise `AddressNotAllowed`."""
        clock, challenge = self._room.clock, new_challenge()
        try:
            async with self._limits.verification(network) as had_to_wait:
                # A half-closed connection looks like a closed one, so that a request that did not wait is served either
                # way. In the queue, requests of closed connections would delay other requests, and take their names.
                if had_to_wait and not is_caller_connected():
                    return Failed("http", HUNG_UP)
                reply = await callback.exchange(challenge.headers(Signer(secret), int(clock.unix())), challenge.body)
        except AddressNotAllowed:
            raise
        except CallbackError as error:
            return error.failure
        return judge_proof(reply, str(challenge.ids[0]), clock.unix())

    def _new_id(self, name: str) -> str:
        """Return an unused id that shows the name: `alice-3f9a2c71`."""
        readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24] or "member"
        while True:
            member_id = f"{readable}-{secrets.token_hex(4)}"
            if self._room.members.get(member_id) is None:
                return member_id

    def _result(self, member: Member, token: str, *, resumed: bool) -> RegisterResult:
        room = self._room
        cursor = room.cursor_of(member.id)
        return RegisterResult(
            success=True,
            message=f"Successfully registered as {member.id}",
            id=member.id,
            name=member.name,
            token=token,
            secret=encode_secret(member.secret),
            callback=member.callback,
            epoch=room.log.epoch,
            seq=room.log.newest,
            cursor=cursor,
            lost=room.log.count(cursor, room.log.oldest - 1),
            resumed=resumed,
            members=_others(room, member.id),
            member_count=room.members.present_count,
            passed_over=room.passed_over_of(member.id),
        )


def _others(room: Room, member_id: str) -> list[MemberName]:
    others = (MemberName(member.id, member.name) for member in room.members.present() if member.id != member_id)
    return list(islice(others, MEMBERS_IN_REGISTER))


def _given_secret(secret: str | None) -> bytes | None:
    try:
        return None if secret is None else decode_secret(secret)
    except SecretError as error:
        raise invalid_params("secret", str(error)) from None


def _settled_url(callback: str | None, caller: Caller) -> CallbackUrl | None:
    try:
        return None if callback is None else resolve_callback(callback, caller.address)
    except CallbackProblem as problem:
        raise invalid_params("callback", str(problem)) from None
