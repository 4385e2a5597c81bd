"""Register: newcomers, those who come back, and everything that is refused."""

import asyncio
import logging

import pytest
from aiohttp import ClientSession, web

from protocol.signing import encode_secret
from server.app import ROOM
from server.chat.refusals import COUNT_SECONDS, LINES_IN_A_BURST
from server.logs import words_of
from tests.fakes import (
    Json,
    Recipient,
    RpcError,
    RunningServer,
    Seat,
    answer_status,
    hang,
    local_settings,
    refusal,
    take,
)


async def test_a_newcomer_is_told_all_it_needs(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Alice", id="alice")
    bob = await server.register("Bob", recipient, id="bob")
    token = bob.result.pop("token")
    epoch = bob.result.pop("epoch")
    assert bob.result == {
        "success": True,
        "message": "Successfully registered as bob",
        "id": "bob",
        "name": "Bob",
        "secret": recipient.secret,
        "callback": f"http://127.0.0.1:{recipient.port}/rpc",
        "seq": 2,
        "cursor": 2,
        "lost": 0,
        "resumed": False,
        "members": [{"id": "alice", "name": "Alice"}],
        "member_count": 2,
        "passed_over": 0,
    }
    assert len(token) >= 43
    assert epoch


async def test_an_id_is_made_from_the_name(server: RunningServer) -> None:
    assert (await server.register("Alice B.")).id.startswith("alice-b-")
    assert (await server.register("山田")).id.startswith("member-")


async def test_the_callback_is_asked_for_the_challenge(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", recipient, id="bob")
    post = recipient.posts[0]
    challenge = post.body["params"]["challenge"]
    assert post.body == {
        "jsonrpc": "2.0",
        "method": "VerifyCallback",
        "params": {"challenge": challenge},
        "id": challenge,
    }
    assert post.headers["webhook-id"] == challenge
    assert post.headers["ringback-recipient"] == "bob"
    assert len(challenge) == 32


async def test_a_secret_is_made_for_who_brings_none(server: RunningServer) -> None:
    async with Recipient(secret="") as recipient:
        bob = await server.call("Register", name="Bob", callback=recipient.callback)
        recipient.secret = bob["secret"]
        await server.register("Alice")
        await recipient.has("Alice joined the chat")


async def test_the_others_are_told_once(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", recipient)
    alice = await server.register("Alice", id="alice")
    await alice.say("hi")
    await recipient.has("Alice joined the chat", "hi")
    notice = recipient.messages[-2]
    assert (notice["event"], notice["is_system"], notice["sender_id"]) == ("join", True, "alice")


async def test_an_id_or_name_in_use_is_taken(server: RunningServer) -> None:
    await server.register("Alice", id="alice")
    for params, field in (
        ({"name": "Al", "id": "alice"}, "id"),
        ({"name": "ALICE"}, "name"),
        ({"name": "Ａlice"}, "name"),
    ):
        error = await refusal(server.call("Register", **params))
        assert (error.code, error.data) == (-32003, {"field": field})


async def test_an_id_stays_its_owners_after_it_has_left(server: RunningServer) -> None:
    alice = await server.register("Alice", id="alice")
    await alice.call("Unregister", id="alice")
    assert (await refusal(server.call("Register", name="Alice", id="alice"))).code == -32003
    assert (await server.register("Alice")).id != "alice"


async def test_a_token_that_is_not_the_ids_is_unauthorized(server: RunningServer) -> None:
    alice = await server.register("Alice", id="alice")
    await server.register("Bob", id="bob")
    for token, member_id in (
        (alice.token, "bob"),
        ("nobody's", "alice"),
        ("nobody's", "nobody"),
        (alice.token, "nobody"),
    ):
        assert (await refusal(server.call("Register", token, name="Alice", id=member_id))).code == -32001
    assert (await refusal(server.call("Register", "nobody's", name="Alice"))).code == -32001


async def test_the_join_key_is_asked_of_newcomers_only(session: ClientSession) -> None:
    settings = local_settings(join_key="open sesame")
    async with RunningServer(session, settings) as server:
        for key in (None, "", "wrong"):
            assert (await refusal(server.call("Register", name="Alice", join_key=key))).code == -32008
        alice = await server.register("Alice", join_key="\ufeffopen sesame\r\n")  # as a file may have it
        assert (await server.call("Register", alice.token, name="Alice"))["resumed"]


async def test_a_resume_goes_on_from_the_cursor(server: RunningServer, recipient: Recipient) -> None:
    bob = await server.register("Bob", recipient)
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    await bob.call("Unregister", id=bob.id)
    for text in ("1", "2"):
        await alice.say(text)
    recipient.posts.clear()
    back = await server.call("Register", bob.token, name="Bob", callback=recipient.callback)
    await recipient.has("1", "2")
    assert (back["resumed"], back["id"], back["secret"], back["cursor"]) == (True, bob.id, recipient.secret, 2)


async def test_a_resume_while_present_tells_nobody(server: RunningServer, recipient: Recipient) -> None:
    alice = await server.register("Alice")
    await server.register("Bob", recipient)
    before = (await alice.call("Ping"))["seq"]
    back = await server.call("Register", alice.token, name="Alice")
    assert back["seq"] == before


async def test_a_resume_under_another_name_is_a_rename(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", recipient)
    alice = await server.register("Alice")
    await server.call("Register", alice.token, name="Alicia")
    await recipient.has("Alice joined the chat", "Alice is now Alicia")
    assert recipient.messages[-1]["event"] == "rename"


async def test_who_was_away_has_joined_again(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", recipient)
    alice = await server.register("Alice")
    await alice.call("Unregister", id=alice.id)
    await server.call("Register", alice.token, name="Alice")
    await recipient.has("Alice joined the chat", "Alice left the chat", "Alice joined the chat")


async def test_after_sets_the_cursor(server: RunningServer, recipient: Recipient) -> None:
    alice = await server.register("Alice")
    await alice.say("1")
    await alice.say("2")
    late = await server.register("Bob", recipient, after=2)
    await recipient.has("2")
    assert (late.result["cursor"], recipient.texts) == (2, ["2"])
    error = await refusal(server.call("Register", name="Eve", after=99))
    assert (error.code, error.data["field"]) == (-32602, "after")


async def test_a_callback_that_fails_leaves_the_earlier_one_in_place(
    server: RunningServer, recipient: Recipient
) -> None:
    bob = await server.register("Bob", recipient)
    async with Recipient() as bad:
        bad.behaviour = answer_status(404)
        error = await refusal(server.call("Register", bob.token, name="Bobby", callback=bad.callback))
    await server.register("Alice")
    await recipient.has("Alice joined the chat")
    assert (error.code, error.data["stage"]) == (-32004, "http")


async def test_a_new_callback_cuts_the_post_to_the_old_one(server: RunningServer) -> None:
    async with Recipient() as old, Recipient() as new:
        bob = await server.register("Bob", old)
        old.behaviour = hang
        await server.register("Alice")
        await old.has("Alice joined the chat")
        await server.call("Register", bob.token, name="Bob", callback=new.callback)
        await new.has("Alice joined the chat")


async def test_only_the_callers_own_address_may_be_rung(server: RunningServer) -> None:
    for callback in (
        "http://127.0.0.2:8000/",
        "http://10.0.0.1:8000/",
        "http://169.254.169.254/",
        "http://[::1]:8000/",
    ):
        error = await refusal(server.call("Register", name="Bob", callback=callback))
        assert error.code == -32005
        assert set(error.data) == {"url", "detail"}


async def test_the_server_is_never_aimed_at_itself(server: RunningServer) -> None:
    error = await refusal(server.call("Register", name="Bob", callback=f":{server.server.port}/rpc"))
    assert error.code == -32005


async def test_a_proxied_caller_may_not_give_a_callback(server: RunningServer, recipient: Recipient) -> None:
    params: Json = {"name": "Bob", "callback": recipient.callback}
    error = await refusal(server.call("Register", forwarded="10.1.2.3", **params))
    assert error.code == -32005
    assert "CHAT_TRUSTED_PROXIES" in error.data["detail"]
    assert recipient.posts == []


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 33}, "name"),
        ({"name": "a@b"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": 5}, "name"),
        ({"name": "A", "id": ""}, "id"),
        ({"name": "A", "id": "a b"}, "id"),
        ({"name": "A", "id": "x" * 65}, "id"),
        ({"name": "A", "id": 7}, "id"),
        ({"name": "A", "callback": ""}, "callback"),
        ({"name": "A", "callback": "ftp://127.0.0.1/"}, "callback"),
        ({"name": "A", "callback": "http://u:p@127.0.0.1/"}, "callback"),
        ({"name": "A", "callback": ":0/rpc"}, "callback"),
        ({"name": "A", "callback": ["http://127.0.0.1/"]}, "callback"),
        ({"name": "A", "max_batch": 0}, "max_batch"),
        ({"name": "A", "max_batch": 257}, "max_batch"),
        ({"name": "A", "secret": "whsec_short"}, "secret"),
        ({"name": "A", "accepts": "ReceiveTyping"}, "accepts"),
        ({"name": "A", "after": -1}, "after"),
        ({"name": "A", "colour": "red"}, "colour"),
    ],
)
async def test_a_bad_parameter_is_named(server: RunningServer, params: Json, field: str) -> None:
    error = await refusal(server.call("Register", **params))
    assert (error.code, error.data["field"]) == (-32602, field)
    assert error.data["problem"]


async def test_of_two_newcomers_with_one_name_one_is_let_in(server: RunningServer) -> None:
    async with Recipient() as first, Recipient() as second:
        both_asked = asyncio.Barrier(2)

        async def answer_together(request: web.Request, body: object) -> web.StreamResponse:
            await both_asked.wait()
            return await take(request, body)

        first.behaviour = second.behaviour = answer_together
        results = await asyncio.gather(
            server.register("Bob", first), server.register("Bob", second), return_exceptions=True
        )
    errors = [result for result in results if isinstance(result, RpcError)]
    assert [(error.code, error.data) for error in errors] == [(-32003, {"field": "name"})]


async def test_a_secret_of_the_contract_is_accepted(server: RunningServer) -> None:
    assert (await server.register("Bob", secret=encode_secret(bytes(24)))).result["secret"] == encode_secret(bytes(24))


async def test_a_seat_is_not_taken_from_who_got_it_while_a_callback_was_proved(server: RunningServer) -> None:
    async with Recipient() as slow:
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def answer_late(request: web.Request, body: object) -> web.StreamResponse:
            asked.set()
            await go_on.wait()
            return await take(request, body)

        slow.behaviour = answer_late
        late = asyncio.create_task(refusal(server.register("Alice", slow, id="alice")))
        await asked.wait()
        alice = await server.register("Alice", id="alice")
        go_on.set()
        error = await late
    assert (error.code, error.data) == (-32003, {"field": "id"})
    assert await alice.say("still me") == 2


async def test_where_the_log_stands_is_told_to_nobody_without_the_key(session: ClientSession) -> None:
    async with RunningServer(session, local_settings(join_key="open sesame")) as server:
        assert (await refusal(server.call("Register", name="Eve", after=99))).code == -32008


async def test_one_who_comes_back_too_late_for_some_is_told_how_many_and_gets_the_rest(
    session: ClientSession, recipient: Recipient
) -> None:
    async with RunningServer(session, local_settings(retention_days=0.1)) as server:
        alice, bob = await server.register("Alice"), await server.register("Bob")
        await alice.say("lost")
        await alice.say("lost too")
        for _ in range(2):
            await pass_minutes(alice, bob)
        await bob.call("Unregister", id=bob.id)
        await alice.say("kept")
        for _ in range(20):
            await pass_minutes(alice)
        assert (await alice.call("GetHistory"))["oldest"] == 5
        seat = {"name": "Bob", "callback": recipient.callback, "secret": recipient.secret}
        back = await server.call("Register", bob.token, **seat)
        assert (back["cursor"], back["lost"]) == (2, 2)
        await recipient.has("kept")


async def pass_minutes(*seats: Seat) -> None:
    """Let about seven minutes pass, with a call of each of these, and a turn of retention at the end."""
    server = seats[0].server
    server.clock.advance(430)
    for seat in seats:
        await seat.call("Ping")
    await server.server.app[ROOM].drop_old()


# What the log tells of those that are refused


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [words_of(record) for record in caplog.records if record.name == "ringback.server"]
    return [line for line in lines if line.startswith("Refused to register")]


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ({"name": "Eve", "join_key": "hush"}, 'Refused to register "Eve" from 127.0.0.1: Join key missing or wrong'),
        (
            {"name": "a@b", "join_key": "open sesame"},
            "Refused to register \"a@b\" from 127.0.0.1: Invalid params: name must not contain '@'",
        ),
        (
            {"join_key": "hush"},
            "Refused to register a participant without a name from 127.0.0.1: Invalid params: name is required: "
            "a string that is not empty and not only white space",
        ),
        (
            {"name": "Eve", "join_key": "open sesame", "callback": ":1/hush"},
            'Refused to register "Eve" from 127.0.0.1: Callback unreachable: connect: '
            "the connection was refused: nothing listens on this port, or a firewall refuses it",
        ),
        (
            {"name": "Eve\n[JOIN]", "join_key": "open sesame"},
            'Refused to register "Eve\\u{a}[JOIN]" from 127.0.0.1: Invalid params: name must not contain the '
            "invisible character U+000A",
        ),
    ],
)
async def test_refused_register_is_logged_with_its_reason_and_no_key(
    session: ClientSession, caplog: pytest.LogCaptureFixture, params: dict[str, str], line: str
) -> None:
    caplog.set_level(logging.INFO)
    async with RunningServer(session, local_settings(join_key="open sesame")) as server:
        await refusal(server.call("Register", **params))
    assert lines_of(caplog) == [line]
    assert "hush" not in caplog.text
    assert "sesame" not in caplog.text


async def test_refused_register_under_a_kept_name_is_logged_as_kept(
    session: ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with RunningServer(session, local_settings()) as server:
        eve = await server.register("Eve", keep_name=True)
        await eve.call("Unregister", id=eve.id, keep_name=True)
        await refusal(server.call("Register", name="Eve"))
    kept = 'Refused to register "Eve" from 127.0.0.1: Taken: this name is kept for its owner, who is away'
    assert lines_of(caplog) == [kept]


async def test_refused_registers_beyond_a_burst_are_counted(
    session: ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with RunningServer(session, local_settings(join_key="open sesame")) as server:
        for _ in range(LINES_IN_A_BURST + 3):
            await refusal(server.call("Register", name="Eve"))
        assert len(lines_of(caplog)) == LINES_IN_A_BURST
        server.clock.advance(COUNT_SECONDS)
        await refusal(server.call("Register", name="Eve"))
        counted = "Refused to register 3 more callers (lines omitted)"
        assert lines_of(caplog)[LINES_IN_A_BURST:] == [counted, lines_of(caplog)[0]]
        for _ in range(LINES_IN_A_BURST):
            await refusal(server.call("Register", name="Eve"))
    assert lines_of(caplog)[-1] == "Refused to register 1 more callers (lines omitted)"
