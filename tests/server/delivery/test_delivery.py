"""Deliveries over real sockets: order, batches, retries, refusals, eviction, and that nobody waits for another."""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, web

from tests.fakes import (
    START,
    Behaviour,
    Json,
    Recipient,
    RpcError,
    RunningServer,
    Seat,
    answer_error,
    answer_status,
    drop,
    hang,
    take,
)


async def test_a_message_reaches_everybody_but_its_sender(server: RunningServer) -> None:
    async with Recipient() as first, Recipient() as second:
        alice = await server.register("Alice", first)
        await server.register("Bob", second)
        await alice.say("hi")
        await second.has("hi")
        await first.has("Bob joined the chat")
    assert "hi" not in first.texts


async def test_a_message_has_the_shape_of_the_contract(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", recipient, id="bob")
    alice = await server.register("Alice", id="alice")
    seq = await alice.say("hi", client_msg_id="m-1")
    await recipient.has("hi")
    assert recipient.messages[-1] == {
        "seq": seq,
        "room": "lobby",
        "sender_id": "alice",
        "sender_name": "Alice",
        "text": "hi",
        "is_system": False,
        "event": None,
        "sent_at": "2027-01-15T08:00:00.000Z",
        "client_msg_id": "m-1",
    }


async def test_the_post_is_named_after_its_messages(server: RunningServer, recipient: Recipient) -> None:
    bob = await server.register("Bob", recipient, id="bob")
    seq = await (await server.register("Alice")).say("hi")
    await recipient.has("hi")
    post = recipient.posts[-1]
    assert post.body["id"] == seq
    assert post.headers["webhook-id"] == f"{bob.result['epoch']}-{seq}-{seq}"
    assert post.headers["webhook-timestamp"] == str(int(START))
    assert post.headers["ringback-recipient"] == "bob"
    assert post.headers["content-type"] == "application/json"


async def test_what_waits_goes_as_one_batch_when_the_recipient_allows_it(
    server: RunningServer, recipient: Recipient
) -> None:
    await server.register("Bob", recipient, max_batch=3)
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    recipient.behaviour = answer_status(500)
    await alice.say("1")
    await recipient.has("1")
    for text in ("2", "3", "4", "5"):
        await alice.say(text)
    recipient.behaviour = take
    await server.clock.someone_waits(0.2, 0.3)
    server.clock.advance(0.3)
    await recipient.has("1", "1", "2", "3", "4", "5")
    assert [len(post.body) for post in recipient.posts if isinstance(post.body, list)] == [3]


async def test_without_max_batch_messages_come_one_by_one(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", recipient)
    alice = await server.register("Alice")
    for text in ("1", "2", "3"):
        await alice.say(text)
    await recipient.has("1", "2", "3")
    assert all(isinstance(post.body, dict) for post in recipient.posts)


async def test_a_retry_has_the_same_id_and_bytes_though_more_is_waiting(
    server: RunningServer, recipient: Recipient
) -> None:
    await server.register("Bob", recipient, max_batch=10)
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    recipient.behaviour = answer_status(500)
    await alice.say("1")
    await recipient.has("1")
    await alice.say("2")
    await server.clock.someone_waits(0.2, 0.3)
    server.clock.advance(0.3)
    await recipient.has("1", "1")
    first, again = recipient.posts[-2:]
    assert (first.raw, first.headers["webhook-id"]) == (again.raw, again.headers["webhook-id"])


async def test_a_recipient_that_hangs_delays_nobody(server: RunningServer) -> None:
    async with Recipient() as hanging, Recipient() as other:
        await server.register("Eve", hanging)
        await server.register("Bob", other)
        alice = await server.register("Alice")
        await other.has("Alice joined the chat")
        hanging.behaviour = hang
        for number in range(20):
            await alice.say(str(number))
        await other.has(*map(str, range(20)))
    assert len([text for text in hanging.texts if text.isdigit()]) == 1


async def test_a_hanging_exchange_is_given_up_and_tried_again(session: ClientSession) -> None:
    async with RunningServer(session, exchange_seconds=0.5) as server, Recipient() as recipient:
        await server.register("Bob", recipient)
        recipient.behaviour = hang
        await server.register("Alice")
        await server.clock.someone_waits(0.2, 0.3)
        recipient.behaviour = take
        server.clock.advance(0.3)
        await recipient.has("Alice joined the chat", "Alice joined the chat")


async def test_a_message_on_its_way_costs_no_task_and_no_timer(server: RunningServer) -> None:
    async with AsyncExitStack() as stack:
        everybody = [await stack.enter_async_context(Recipient()) for _ in range(10)]
        for number, each in enumerate(everybody):
            await server.register(f"Bob {number}", each)
        alice = await server.register("Alice")
        for each in everybody:
            await each.has("Alice joined the chat")
        alarms = server.clock.alarms
        for each in everybody:
            each.behaviour = hang
        await alice.say("1")
        for each in everybody:
            await each.has("1")
        assert server.clock.alarms <= alarms
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("delivery", "dial"))]


@pytest.mark.parametrize("code", [-32600, -32601, -32602])
async def test_these_errors_count_as_taken(server: RunningServer, recipient: Recipient, code: int) -> None:
    await server.register("Bob", recipient)
    alice = await server.register("Alice")
    recipient.behaviour = answer_error(code)
    await alice.say("1")
    await alice.say("2")
    await recipient.has("1", "2")
    assert recipient.texts.count("1") == 1


async def test_a_message_refused_five_times_is_passed_over(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", recipient)
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    recipient.behaviour = answer_error(-32000)
    await alice.say("poison")
    for tries, wait in enumerate((0.25, 0.5, 1.0, 2.0), start=1):
        await recipient.has(*["poison"] * tries)
        await server.clock.someone_waits(wait * 0.8, wait * 1.2)
        server.clock.advance(wait * 1.2)
    recipient.behaviour = take
    await recipient.has(*["poison"] * 5)
    await alice.say("next")
    await recipient.has("next")
    assert recipient.texts.count("poison") == 5


def refuse(status: int, poison: str) -> Behaviour:
    """Answer with this status what holds this text, and take the rest."""

    async def behave(request: web.Request, body: Any) -> web.StreamResponse:
        if poison in msgspec.json.encode(body).decode():
            return await answer_status(status)(request, body)
        return await take(request, body)

    return behave


async def wait_through(server: RunningServer, recipient: Recipient, posts: int, *waits: float) -> None:
    """Let so many waits pass, after so many POSTs; each ends with another POST."""
    for tries, wait in enumerate(waits):
        await recipient.posted(posts + tries)
        await server.clock.someone_waits(wait * 0.8, wait * 1.2)
        server.clock.advance(wait * 1.2)
    await recipient.posted(posts + len(waits))


@pytest.mark.parametrize("status", [400, 422, 500, 501, 599])
async def test_message_refused_by_status_is_passed_over_by_a_living_bot(
    server: RunningServer, recipient: Recipient, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    bob = await server.register("Bob", recipient)
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    recipient.behaviour = refuse(status, "poison")
    posts = len(recipient.posts)
    seq = await alice.say("poison")
    await alice.say("next")
    await wait_through(server, recipient, posts + 1, 0.25, 0.5, 1.0, 2.0)
    await recipient.has("next")
    assert recipient.texts.count("poison") == 5
    assert recipient.methods[-2:] == ["VerifyCallback", "ReceiveMessage"]
    await server.clock.someone_waits(14.9, 15.0)
    ping = await bob.call("Ping")
    assert (ping["passed_over"], ping["cursor"]) == (1, seq + 1)
    assert any(
        record.levelname == "WARNING" and f"refused message {seq} 5 times (HTTP status {status})" in record.message
        for record in caplog.records
    )
    recipient.behaviour = take
    again = await server.call("Register", bob.token, name="Bob", callback=recipient.callback)
    assert again["passed_over"] == 1
    assert f"refuses a message, which is sent again (http: HTTP status {status})" in caplog.text
    assert "cannot be reached" not in caplog.text


async def test_bot_that_takes_nothing_for_a_while_loses_nothing(server: RunningServer, recipient: Recipient) -> None:
    """It answers `VerifyCallback`, but its own database is down."""
    bob = await server.register("Bob", recipient)
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    recipient.behaviour = refuse(500, "ReceiveMessage")
    posts = len(recipient.posts)
    for text in ("1", "2", "3"):
        await alice.say(text)
    await wait_through(server, recipient, posts + 1, 0.25, 0.5, 1.0, 2.0)
    await recipient.has("1", "2")
    posts = len(recipient.posts)
    await wait_through(server, recipient, posts, 0.25)
    await recipient.has("1", "2", "1", "2")
    recipient.behaviour = take
    await server.clock.someone_waits(0.4, 0.6)
    server.clock.advance(0.6)
    await recipient.has("1", "2", "3")
    await server.clock.someone_waits(14.9, 15.0)
    assert (await bob.call("Ping"))["passed_over"] == 0


async def test_batch_too_large_for_the_bot_goes_in_halves(server: RunningServer, recipient: Recipient) -> None:
    bob = await server.register("Bob", recipient, max_batch=4)
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    recipient.behaviour = answer_status(503)
    await alice.say("0")
    await recipient.has("0")
    for number in range(1, 9):
        await alice.say(str(number))

    async def behave(request: web.Request, body: Any) -> web.StreamResponse:
        return await (answer_status(413) if isinstance(body, list) and len(body) > 2 else take)(request, body)

    recipient.behaviour = behave
    await server.clock.someone_waits(0.2, 0.3)
    server.clock.advance(0.3)
    await recipient.has("7", "8")
    sizes = [len(post.body) for post in recipient.posts if isinstance(post.body, list)]
    assert sizes == [4, 2, 2, 2, 2], "what was too large is not tried again"
    await server.clock.someone_waits(14.9, 15.0)
    assert (await bob.call("Ping"))["passed_over"] == 0


async def test_message_too_large_for_the_bot_is_passed_over(server: RunningServer, recipient: Recipient) -> None:
    bob = await server.register("Bob", recipient)
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    recipient.behaviour = refuse(413, "poison")
    posts = len(recipient.posts)
    await alice.say("poison")
    await alice.say("next")
    await wait_through(server, recipient, posts + 1, 0.25, 0.5, 1.0, 2.0)
    await recipient.has("next")
    await server.clock.someone_waits(14.9, 15.0)
    assert (await bob.call("Ping"))["passed_over"] == 1


async def test_mistake_in_the_handling_of_a_result_pauses_the_delivery(
    server: RunningServer,
    recipient: Recipient,
    monkeypatch: pytest.MonkeyPatch,
    expected_tracebacks: list[logging.LogRecord],
) -> None:
    """The same again after a second, not at once."""
    await server.register("Bob", recipient)
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    recipient.behaviour = answer_error(-32000)
    with monkeypatch.context() as mistaken:
        mistaken.setattr("server.delivery.delivery.judge_response", lambda *_: 1 / 0)
        await alice.say("hi")
        await recipient.has("hi")
        await server.clock.someone_waits(1.0, 1.0, count=2)  # the maintenance is one of them
    assert len(expected_tracebacks) == 1
    recipient.behaviour = take
    server.clock.advance(0.9)
    assert recipient.texts.count("hi") == 1
    server.clock.advance(0.1)
    await recipient.has("hi", "hi")


async def test_a_dead_recipient_is_unreachable_and_then_leaves(server: RunningServer) -> None:
    async with Recipient() as watcher:
        await server.register("Bob", watcher)
        alice = await server.register("Alice")
        async with Recipient() as dying:
            eve = await server.register("Eve", dying)
            await watcher.has("Eve joined the chat")
        await alice.say("anybody?")
        for wait in (0.25, 0.5, 1.0):
            await server.clock.someone_waits(wait * 0.8, wait * 1.2)
            if wait == 1.0:
                members = (await alice.call("ListMembers"))["members"]
                assert {m["name"]: (m["state"], m["behind"]) for m in members}["Eve"] == ("unreachable", 1)
            server.clock.advance(wait * 1.2)
        await server.clock.someone_waits(1.6, 2.4)
        server.clock.advance(30)
        await watcher.has("Eve left the chat (unreachable)")
        with pytest.raises(RpcError) as away:
            await eve.call("Ping")
    assert away.value.code == -32002


async def test_the_evicted_come_back_with_their_token_and_get_what_they_missed(server: RunningServer) -> None:
    async with Recipient() as dying, Recipient() as watcher:
        await server.register("Bob", watcher)
        eve = await server.register("Eve", dying)
        alice = await server.register("Alice")
        await dying.has("Alice joined the chat")
        dying.behaviour = drop
        await alice.say("missed")
        await server.clock.someone_waits(0.2, 0.3)
        server.clock.advance(31)
        await watcher.has("Eve left the chat (unreachable)")
        dying.behaviour = take
        back = await server.call("Register", eve.token, name="Eve", callback=dying.callback)
        await dying.has("missed", "missed")
    assert (back["resumed"], back["id"], back["token"]) == (True, eve.id, eve.token)


async def test_410_makes_away_at_once(server: RunningServer) -> None:
    async with Recipient() as leaving, Recipient() as watcher:
        await server.register("Bob", watcher)
        await server.register("Eve", leaving)
        leaving.behaviour = answer_status(410)
        await server.register("Alice")
        await watcher.has("Eve left the chat")


async def test_retry_after_is_waited_for_and_does_not_evict(server: RunningServer, recipient: Recipient) -> None:
    bob = await server.register("Bob", recipient)
    recipient.behaviour = answer_status(503, {"Retry-After": "120"})
    alice = await server.register("Alice")
    await server.clock.someone_waits(119, 120)
    server.clock.advance(120)
    await recipient.has("Alice joined the chat", "Alice joined the chat")
    await server.clock.someone_waits(119, 120)
    recipient.behaviour = take
    server.clock.advance(120)
    await alice.say("still here?")
    await recipient.has("still here?")
    assert (await bob.call("Ping"))["callback"]


async def test_a_redirect_is_a_failure_and_never_followed(server: RunningServer) -> None:
    async with Recipient() as target, Recipient() as redirecting:
        await server.register("Eve", redirecting)
        redirecting.behaviour = answer_status(307, {"Location": f"http://127.0.0.1:{target.port}/rpc"})
        await server.register("Alice")
        await server.clock.someone_waits(0.2, 0.3)
    assert target.posts == []


async def test_a_kept_connection_that_was_closed_is_replaced_without_a_failure(
    server: RunningServer, recipient: Recipient
) -> None:
    await server.register("Bob", recipient)
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    dropped = asyncio.Event()

    async def drop_once(request: web.Request, body: object) -> web.StreamResponse:
        recipient.behaviour = take
        dropped.set()
        return await drop(request, body)

    recipient.behaviour = drop_once
    await alice.say("hi")
    await recipient.has("hi", "hi")
    assert dropped.is_set()
    first, again = recipient.posts[-2:]
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert first.peer_port != again.peer_port


async def test_the_silent_are_probed(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", recipient)
    await server.clock.someone_waits(14.9, 15.0)
    server.clock.advance(15)
    await recipient.posted(2)
    assert recipient.methods == ["VerifyCallback", "VerifyCallback"]


async def test_410_to_a_probe_makes_away_at_once(server: RunningServer) -> None:
    async with Recipient() as leaving, Recipient() as watcher:
        await server.register("Bob", watcher)
        await server.register("Eve", leaving)
        await watcher.has("Eve joined the chat")
        leaving.behaviour = answer_status(410)
        await server.clock.someone_waits(14.9, 15.0)
        server.clock.advance(15)
        await watcher.has("Eve left the chat")


async def test_an_error_answer_to_a_probe_is_a_sign_of_life(server: RunningServer, recipient: Recipient) -> None:
    bob = await server.register("Bob", recipient)

    async def err(_request: web.Request, body: Json) -> web.StreamResponse:
        return web.json_response({"jsonrpc": "2.0", "error": {"code": -32603, "message": "no"}, "id": body["id"]})

    recipient.behaviour = err
    for probes in range(1, 5):
        await server.clock.someone_waits(14.9, 15.0)
        server.clock.advance(15)
        await recipient.posted(1 + probes)
    recipient.behaviour = take
    assert (await bob.call("ListMembers"))["members"][0]["state"] == "online"


async def test_a_dead_recipient_leaves_a_silent_room(server: RunningServer) -> None:
    async with Recipient() as watcher:
        await server.register("Bob", watcher)
        async with Recipient() as dying:
            await server.register("Eve", dying)
            await watcher.has("Eve joined the chat")
        await server.clock.someone_waits(14.9, 15.0)
        server.clock.advance(15)
        await server.clock.someone_waits(0.2, 0.3)
        server.clock.advance(30)
        await watcher.has("Eve left the chat (unreachable)")


async def fail_all(server: RunningServer, everybody: list[Recipient]) -> list[Seat]:
    """Seat them, and have all of them fail once; gives the seats."""
    seats = [await server.register(f"Bob {number}", each) for number, each in enumerate(everybody)]
    for each in everybody[:-1]:
        await each.has(f"Bob {len(everybody) - 1} joined the chat")
    for each in everybody:
        each.behaviour = answer_status(500)
    await server.register("Alice")
    await server.clock.someone_waits(0.2, 0.3, count=len(everybody))
    return seats


async def test_nobody_is_evicted_while_everybody_fails(server: RunningServer) -> None:
    async with Recipient() as one, Recipient() as two, Recipient() as three:
        seats = await fail_all(server, [one, two, three])
        server.clock.advance(60)
        await server.clock.someone_waits(0.4, 0.6, count=3)
        for seat, each in zip(seats, [one, two, three], strict=True):
            posts = len(each.posts)
            await seat.call("Ping")
            await each.posted(posts + 1)


async def test_the_suspicion_outlasts_one_who_leaves_meanwhile(server: RunningServer) -> None:
    async with Recipient() as one, Recipient() as two, Recipient() as three:
        seats = await fail_all(server, [one, two, three])
        await seats[2].call("Unregister", id=seats[2].id)
        server.clock.advance(60)
        await server.clock.someone_waits(0.4, 0.6, count=2)
        for seat, each in zip(seats[:2], [one, two], strict=True):
            posts = len(each.posts)
            await seat.call("Ping")
            await each.posted(posts + 1)


async def test_what_one_has_said_alone_is_skipped_and_what_follows_arrives(
    server: RunningServer, recipient: Recipient
) -> None:
    bob = await server.register("Bob")
    for number in range(600):
        await bob.say(str(number))
    await server.call("Register", bob.token, name="Bob", callback=recipient.callback, secret=recipient.secret, after=0)
    await server.register("Alice")
    await recipient.has("Alice joined the chat")
    assert recipient.texts == ["Alice joined the chat"]


async def test_a_ping_ends_the_wait(server: RunningServer, recipient: Recipient) -> None:
    bob = await server.register("Bob", recipient)
    recipient.behaviour = answer_status(500)
    await server.register("Alice")
    await server.clock.someone_waits(0.2, 0.3)
    recipient.behaviour = take
    await bob.call("Ping")
    await recipient.has("Alice joined the chat", "Alice joined the chat")


async def test_typing_is_told_to_those_who_accept_it(server: RunningServer) -> None:
    async with Recipient() as wants, Recipient() as does_not:
        await server.register("Bob", wants, accepts=["ReceiveTyping", "ReceiveSomethingNew"])
        await server.register("Eve", does_not)
        alice = await server.register("Alice", id="alice")
        await wants.has("Alice joined the chat")
        await does_not.has("Alice joined the chat")
        await server.clock.someone_waits(14.9, 15.0)
        await alice.call("SetTyping")
        await wants.until(lambda: wants.methods[-1] == "ReceiveTyping")
        await alice.say("hi")
        await does_not.has("hi")
    typing = next(post.body for post in wants.posts if post.body["method"] == "ReceiveTyping")
    assert typing["params"] == {"sender_id": "alice", "sender_name": "Alice", "room": "lobby"}
    assert "id" not in typing
    assert "ReceiveTyping" not in does_not.methods


async def test_a_callback_url_may_have_a_path_and_a_query(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", callback=f"http://127.0.0.1:{recipient.port}/a%20b?x=%2F", secret=recipient.secret)
    await server.register("Alice")
    await recipient.has("Alice joined the chat")
