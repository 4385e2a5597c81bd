from collections.abc import AsyncIterator

import pytest

from client.errors import CallRefused
from client.session.sending import send_until_stored
from protocol.errors import ContractError, ErrorCode
from tests.client.fake_server import Rig, rig


@pytest.fixture
async def room() -> AsyncIterator[Rig]:
    async with rig() as made:
        yield made


class Naps:
    """Sleeps that pass at once, noted."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def test_a_lost_answer_does_not_send_twice(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    room.server.lose_answer_of = {"SendMessage"}
    assert (await send_until_stored(me, "hi", Naps())).seq == 2
    assert room.server.methods().count("SendMessage") == 2
    assert list(room.server.sent.values()) == ["hi"]


async def test_a_rate_limit_is_waited_out_as_long_as_it_asks(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    room.server.refuse["SendMessage"] = [ContractError(ErrorCode.RATE_LIMITED, {"retry_after_ms": 250})]
    naps = Naps()
    await send_until_stored(me, "hi", naps)
    assert naps.seconds == [0.25]


@pytest.mark.parametrize("code", [ErrorCode.AWAY, ErrorCode.UNAUTHORIZED, ErrorCode.NOT_STORED])
async def test_what_passes_is_tried_again(room: Rig, code: ErrorCode) -> None:
    me = room.participant()
    await me.enter("Alice")
    room.server.refuse["SendMessage"] = [ContractError(code)]
    await send_until_stored(me, "hi", Naps())
    assert list(room.server.sent.values()) == ["hi"]


async def test_what_stays_wrong_is_said_at_once(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    room.server.refuse["SendMessage"] = [ContractError(ErrorCode.TEXT_TOO_LONG, {"limit": 4096})]
    with pytest.raises(CallRefused, match="at most 4096 characters"):
        await send_until_stored(me, "hi", Naps())
    assert room.server.methods().count("SendMessage") == 1


async def test_who_has_left_tries_no_longer(room: Rig) -> None:
    me = room.participant()
    await me.enter("Alice")
    await me.leave()
    with pytest.raises(CallRefused):
        await send_until_stored(me, "hi", Naps())
