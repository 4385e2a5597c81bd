"""How much one participant, or one address, may take: -32006 beyond."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession

from protocol.errors import ContractError
from server.chat.limits import (
    MAX_KNOWN_PER_NETWORK,
    REGISTRATIONS_IN_A_BURST,
    REGISTRATIONS_PER_SECOND,
    VERIFICATIONS_AT_ONCE,
    VERIFICATIONS_PER_NETWORK,
    Limits,
)
from tests.fakes import ManualClock, Recipient, RunningServer, Seat, hang, local_settings, refusal, take

THIS_MACHINE = (ip_network("127.0.0.1/32"),)


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
async def server(session: ClientSession) -> AsyncIterator[RunningServer]:
    """A server of which calls may come as if from anywhere, and which rings back here."""
    settings = local_settings(rate=20.0, trusted_proxies=THIS_MACHINE, callback_allow=THIS_MACHINE)
    async with RunningServer(session, settings) as server:
        yield server


@pytest.fixture
async def alice(server: RunningServer) -> Seat:
    return await server.register("Alice")


async def at_once(seat: Seat, method: str, count: int, **params: object) -> list[dict[str, object]]:
    """Call in batches; gives the errors, with an empty one for each success."""
    call = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
    answers: list[dict[str, object]] = []
    for size in [100] * (count // 100) + [count % 100]:
        if size:
            headers = {"Authorization": f"Bearer {seat.token}"}
            _, raw = await seat.server.post(msgspec.json.encode([call] * size), headers=headers)
            answers += [answer.get("error", {}) for answer in msgspec.json.decode(raw)]
    return answers


async def test_each_message_of_a_batch_counts(alice: Seat) -> None:
    errors = await at_once(alice, "SendMessage", 150, user_id=alice.id, text="hi")
    assert not any(errors[:100])
    assert {error["code"] for error in errors[100:]} == {-32006}


async def test_the_time_that_is_told_is_the_time_to_wait(server: RunningServer, alice: Seat) -> None:
    await at_once(alice, "SendMessage", 100, user_id=alice.id, text="hi")
    error = await refusal(alice.say("too much"))
    assert (error.code, error.data["retry_after_ms"]) == (-32006, 50)
    server.clock.advance(0.049)
    assert (await refusal(alice.say("too much"))).code == -32006
    server.clock.advance(0.001)
    await alice.say("at last")


async def test_one_who_says_too_much_takes_nothing_from_the_others(server: RunningServer, alice: Seat) -> None:
    bob = await server.register("Bob")
    await at_once(alice, "SendMessage", 200, user_id=alice.id, text="hi")
    await bob.say("hello")


async def test_what_is_refused_is_not_said(server: RunningServer, alice: Seat) -> None:
    newest = (await alice.call("Ping"))["seq"]
    await at_once(alice, "SendMessage", 200, user_id=alice.id, text="hi")
    assert (await alice.call("Ping"))["seq"] == newest + 100


@pytest.mark.parametrize(("method", "params"), [("Rename", {"name": "Alicia"}), ("SetTyping", {})])
async def test_whatever_others_hear_of_counts_as_speaking(alice: Seat, method: str, params: dict[str, str]) -> None:
    await at_once(alice, "SendMessage", 100, user_id=alice.id, text="hi")
    assert (await refusal(alice.call(method, **params))).code == -32006


async def test_reading_counts_by_itself_ten_times_as_often(alice: Seat) -> None:
    await at_once(alice, "SendMessage", 100, user_id=alice.id, text="hi")
    errors = [
        *await at_once(alice, "GetHistory", 500, limit=1),
        *await at_once(alice, "ListMembers", 300, limit=1),
        *await at_once(alice, "Ping", 300),
    ]
    assert not any(errors[:1000])
    assert {error["code"] for error in errors[1000:]} == {-32006}


@pytest.mark.parametrize(("method", "limit", "cost"), [("GetHistory", 300, 11), ("ListMembers", 1000, 11)])
async def test_reading_much_counts_for_more(alice: Seat, method: str, limit: int, cost: int) -> None:
    errors = await at_once(alice, method, 100, limit=limit)
    assert sum(not error for error in errors) == 1000 // cost


async def test_one_may_always_leave(alice: Seat) -> None:
    await at_once(alice, "SendMessage", 200, user_id=alice.id, text="hi")
    await at_once(alice, "Ping", 1100)
    assert (await alice.call("Unregister", id=alice.id))["success"]


async def test_a_rate_of_0_turns_every_limit_off(session: ClientSession) -> None:
    async with RunningServer(session, local_settings(rate=0.0)) as server:
        alice = await server.register("Alice")
        assert not any(await at_once(alice, "SendMessage", 300, user_id=alice.id, text="hi"))


async def test_registrations_count_for_each_address_whatever_becomes_of_them(server: RunningServer) -> None:
    call = {"jsonrpc": "2.0", "method": "Register", "params": {"name": "a@b"}, "id": 1}
    body = msgspec.json.encode(call)
    for _ in range(REGISTRATIONS_IN_A_BURST):
        await server.post(body)
    error = await refusal(server.call("Register", name="Bob"))
    assert (error.code, error.data["retry_after_ms"]) == (-32006, 1000 / REGISTRATIONS_PER_SECOND)
    await server.call("Register", name="Carol", forwarded="192.0.2.7")
    server.clock.advance(1 / REGISTRATIONS_PER_SECOND)
    await server.call("Register", name="Bob")


@pytest.fixture
async def narrow(session: ClientSession) -> AsyncIterator[RunningServer]:
    settings = local_settings(max_per_address=2, trusted_proxies=THIS_MACHINE, callback_allow=THIS_MACHINE)
    async with RunningServer(session, settings) as server:
        yield server


async def test_an_address_has_so_many_participants_and_no_more(narrow: RunningServer) -> None:
    for name in ("Alice", "Bob"):
        await narrow.call("Register", name=name, forwarded="192.0.2.7")
    error = await refusal(narrow.call("Register", name="Carol", forwarded="192.0.2.7"))
    assert (error.code, error.data["retry_after_ms"]) == (-32006, 10_000)
    assert "at most 2" in error.data["detail"]
    await narrow.call("Register", name="Carol", forwarded="192.0.2.8")


async def test_a_network_of_ipv6_counts_as_one_address(narrow: RunningServer) -> None:
    for name, address in (("Alice", "2001:db8::1"), ("Bob", "2001:db8::ffff:0:0:2")):
        await narrow.call("Register", name=name, forwarded=address)
    assert (await refusal(narrow.call("Register", name="Carol", forwarded="2001:db8::3"))).code == -32006
    await narrow.call("Register", name="Carol", forwarded="2001:db8:0:1::3")


async def test_who_leaves_makes_room(narrow: RunningServer) -> None:
    alice = await narrow.register("Alice")
    await narrow.register("Bob")
    await alice.call("Unregister", id=alice.id)
    await narrow.register("Carol")
    assert (await refusal(alice.call("Register", name="Alice"))).code == -32006


async def test_who_is_in_may_register_again(narrow: RunningServer) -> None:
    alice = await narrow.register("Alice")
    await narrow.register("Bob")
    assert (await alice.call("Register", name="Alice"))["resumed"]


async def test_those_who_are_about_to_enter_count(narrow: RunningServer) -> None:
    await narrow.register("Alice")
    async with Recipient() as slow:
        slow.behaviour = hang
        entering = asyncio.create_task(narrow.register("Bob", slow, callback=f"http://127.0.0.1:{slow.port}/rpc"))
        await slow.posted(1)
        assert (await refusal(narrow.call("Register", name="Carol"))).code == -32006
        entering.cancel()


async def test_who_leaves_while_it_comes_back_makes_no_room(narrow: RunningServer) -> None:
    """Its seat is kept for it until its callback is proven: else each round of this would let one more in."""
    alice = await narrow.register("Alice")
    await narrow.register("Bob")
    async with Recipient() as slow:
        slow.behaviour = hang
        params = {"name": "Alice", "callback": f"http://127.0.0.1:{slow.port}/rpc", "secret": slow.secret}
        coming_back = asyncio.create_task(alice.call("Register", **params))
        await slow.posted(1)
        await alice.call("Unregister", id=alice.id)
        assert (await refusal(narrow.call("Register", name="Carol"))).code == -32006
        coming_back.cancel()


async def test_who_moves_to_another_address_counts_there(narrow: RunningServer) -> None:
    seats = [await narrow.call("Register", name=name, forwarded="192.0.2.7") for name in ("Alice", "Bob")]
    for name in ("Carol", "Dora"):
        await narrow.call("Register", name=name, forwarded="192.0.2.8")
    error = await refusal(narrow.call("Register", seats[0]["token"], name="Alice", forwarded="192.0.2.8"))
    assert error.code == -32006
    await narrow.call("Register", seats[0]["token"], name="Alice", forwarded="192.0.2.7")


async def test_to_come_back_under_other_names_counts_as_speaking(alice: Seat) -> None:
    call = {"jsonrpc": "2.0", "method": "Register", "id": 1}
    codes = []
    for number in range(110):
        body = msgspec.json.encode({**call, "params": {"name": f"Alice {number}"}})
        _, raw = await alice.server.post(body, headers={"Authorization": f"Bearer {alice.token}"})
        codes.append(msgspec.json.decode(raw).get("error", {}).get("code"))
    assert codes == [None] * 100 + [-32006] * 10


async def test_whoever_hangs_up_before_its_turn_is_not_verified(session: ClientSession) -> None:
    async with (
        RunningServer(session, exchange_seconds=1.0) as server,
        Recipient() as slow,
        Recipient() as late,
        Recipient() as good,
    ):
        slow.behaviour = hang
        hanging = [
            asyncio.create_task(refusal(server.register(f"Eve {number}", slow)))
            for number in range(VERIFICATIONS_PER_NETWORK)
        ]
        await slow.posted(VERIFICATIONS_PER_NETWORK)
        waiting = asyncio.create_task(server.register("Late", late))
        await server.register("Somebody")  # by now the late one waits for its turn
        waiting.cancel()
        await asyncio.wait([waiting])
        await server.register("Bob", good)  # waits for its turn behind it
        assert not late.posts
        await asyncio.wait(hanging)


async def test_register_half_closed_in_the_queue_is_told_to_call_again(session: ClientSession) -> None:
    """A caller that has hung up looks the same, and must not cost the others their turn."""
    async with RunningServer(session, exchange_seconds=0.3) as server, Recipient() as slow, Recipient() as late:
        slow.behaviour = hang
        hanging = [
            asyncio.create_task(refusal(server.register(f"Eve {number}", slow)))
            for number in range(VERIFICATIONS_PER_NETWORK)
        ]
        await slow.posted(VERIFICATIONS_PER_NETWORK)
        params = {"name": "Late", "callback": late.callback}
        body = msgspec.json.encode({"jsonrpc": "2.0", "method": "Register", "params": params, "id": 1})
        head = b"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.server.port)
        writer.write(head % len(body) + body)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        assert b"-32004" in answer
        assert b"register again, and keep the connection open" in answer
        assert not late.posts
        await asyncio.wait(hanging)


async def test_no_more_are_rung_than_there_are_files_for() -> None:
    limits = Limits(ManualClock(), rate=20.0, max_per_network=0, max_callbacks=2)
    limits.check_callbacks(1)
    with pytest.raises(ContractError, match="cannot serve more callbacks"):
        limits.check_callbacks(2)


async def test_where_too_many_have_left_only_they_may_come_in(session: ClientSession, tmp_path: Path) -> None:
    settings = local_settings(rate=20.0, store=f"sqlite:{tmp_path / 'chat.db'}", trusted_proxies=THIS_MACHINE)
    async with RunningServer(session, settings) as server:
        alice = await server.register("Alice")
        await alice.call("Unregister", id=alice.id)
    await asyncio.to_thread(multiply, tmp_path / "chat.db", MAX_KNOWN_PER_NETWORK)
    async with RunningServer(session, settings) as server:
        error = await refusal(server.call("Register", name="Bob"))
        assert (error.code, error.data["retry_after_ms"]) == (-32006, 3_600_000)
        assert (await server.call("Register", alice.token, name="Alice"))["resumed"]
        await server.call("Register", name="Bob", forwarded="192.0.2.7")


def multiply(file: Path, count: int) -> None:
    """Have as many members in a store as its only one, who is away."""
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(members)")]
        made = {"id": "id || '-' || n", "token_hash": "randomblob(32)"}
        chosen = ", ".join(made.get(name, name) for name in columns)
        numbers = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"
        db.execute(f"{numbers} INSERT INTO members SELECT {chosen} FROM members, numbers", (count,))


async def test_callbacks_that_hang_hold_up_only_those_from_the_same_address(server: RunningServer) -> None:
    async with Recipient() as slow, Recipient() as good:
        slow.behaviour = hang
        there, here = f"http://127.0.0.1:{slow.port}/rpc", f"http://127.0.0.1:{good.port}/rpc"
        hanging = [
            asyncio.create_task(
                server.register(f"Eve {number}", slow, callback=there, forwarded="192.0.2.7"), name=f"Eve {number}"
            )
            for number in range(VERIFICATIONS_AT_ONCE)
        ]
        await slow.posted(VERIFICATIONS_PER_NETWORK)
        await server.register("Bob", good, callback=here, forwarded="192.0.2.8")
        assert len(slow.posts) == VERIFICATIONS_PER_NETWORK
        slow.behaviour = take
        for attempt in hanging:
            attempt.cancel()
        await asyncio.wait(hanging)
