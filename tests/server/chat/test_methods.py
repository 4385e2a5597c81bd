"""The methods behind a token, and who is here."""

import msgspec
import pytest

from tests.fakes import Recipient, RunningServer, answer_status, refusal


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("Unregister", {"id": "alice"}),
        ("SendMessage", {"user_id": "alice", "text": "hi"}),
        ("SendMessage", {"user_id": "nobody", "text": "hi"}),
        ("GetHistory", {}),
        ("ListMembers", {}),
        ("Rename", {"name": "A"}),
        ("SetTyping", {}),
        ("Ping", {}),
    ],
)
@pytest.mark.parametrize("whose", ["none", "wrong"])
async def test_nothing_goes_without_the_right_token(
    server: RunningServer, method: str, params: dict[str, str], whose: str
) -> None:
    await server.register("Alice", id="alice")
    error = await refusal(server.call(method, None if whose == "none" else "wrong", **params))
    assert (error.code, error.data) == (-32001, {})


async def test_nobody_speaks_as_another(server: RunningServer) -> None:
    await server.register("Alice", id="alice")
    bob = await server.register("Bob")
    assert (await refusal(bob.call("SendMessage", user_id="alice", text="hi"))).code == -32001
    assert (await refusal(bob.call("Unregister", id="alice"))).code == -32001


async def test_send_message_answers_with_the_words_of_the_original(server: RunningServer) -> None:
    alice = await server.register("Alice")
    result = await alice.call("SendMessage", user_id=alice.id, text="hi")
    [stored] = (await alice.call("GetHistory", limit=1))["messages"]
    words = {"success": True, "message": "Message sent successfully"}
    assert result == {**words, "seq": 2, "sent_at": stored["sent_at"]}


async def test_send_message_repeated_gives_the_first_seq_and_time(server: RunningServer) -> None:
    alice = await server.register("Alice")
    first = await alice.call("SendMessage", user_id=alice.id, text="hi", client_msg_id="m1")
    server.clock.advance(60)
    again = await alice.call("SendMessage", user_id=alice.id, text="hi", client_msg_id="m1")
    assert again == {**first, "repeated": True}


async def test_unregister_answers_with_the_words_of_the_original(server: RunningServer) -> None:
    alice = await server.register("Alice")
    assert await alice.call("Unregister", id=alice.id) == {"success": True, "message": "Successfully unregistered"}


async def test_who_has_left_is_away(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", recipient)
    alice = await server.register("Alice")
    await alice.call("Unregister", id=alice.id)
    await recipient.has("Alice joined the chat", "Alice left the chat")
    assert (await refusal(alice.call("Ping"))).code == -32002
    assert (await refusal(alice.call("Unregister", id=alice.id))).code == -32002


async def test_a_text_too_long_is_refused_with_the_limit(server: RunningServer) -> None:
    alice = await server.register("Alice")
    await alice.say("x" * 4096)
    error = await refusal(alice.say("x" * 4097))
    assert (error.code, error.data) == (-32007, {"limit": 4096})


@pytest.mark.parametrize("text", ["", " \n\t", None, 5, ["hi"]])
async def test_an_empty_or_wrong_text_is_refused(server: RunningServer, text: object) -> None:
    alice = await server.register("Alice")
    error = await refusal(alice.call("SendMessage", user_id=alice.id, text=text))
    assert (error.code, error.data["field"]) == (-32602, "text")


async def test_the_same_message_id_is_stored_once(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", recipient)
    alice = await server.register("Alice")
    first = await alice.say("hi", client_msg_id="m1")
    assert await alice.say("hi", client_msg_id="m1") == first
    error = await refusal(alice.say("something else", client_msg_id="m1"))
    assert (error.code, error.data["field"], error.data["seq"]) == (-32602, "client_msg_id", first)
    await alice.say("end")
    await recipient.has("hi", "end")


async def test_history_is_read_before_and_after(server: RunningServer) -> None:
    alice = await server.register("Alice")
    for text in "abcdef":
        await alice.say(text)

    async def texts(**params: int) -> list[str]:
        return [message["text"] for message in (await alice.call("GetHistory", **params))["messages"]]

    assert await texts(limit=2) == ["e", "f"]
    assert await texts(before=4, limit=2) == ["a", "b"]
    assert await texts(after=4, limit=2) == ["d", "e"]
    assert await texts(after=7) == []
    assert await texts(before=0) == []
    assert await texts() == ["Alice joined the chat", *"abcdef"]
    history = await alice.call("GetHistory", limit=1)
    assert (history["oldest"], history["seq"], history["epoch"]) == (1, 7, alice.result["epoch"])


async def test_history_is_not_read_both_ways(server: RunningServer) -> None:
    alice = await server.register("Alice")
    assert (await refusal(alice.call("GetHistory", before=3, after=1))).code == -32602
    for limit in (0, 301):
        assert (await refusal(alice.call("GetHistory", limit=limit))).data["field"] == "limit"


async def test_members_are_listed_by_id_in_pages(server: RunningServer) -> None:
    for member_id in ("carl", "alice", "bob"):
        seat = await server.register(member_id, id=member_id)
    page = await seat.call("ListMembers", limit=2)
    rest = await seat.call("ListMembers", after_id="bob")
    assert [member["id"] for member in page["members"]] == ["alice", "bob"]
    assert rest["members"] == [{"id": "carl", "name": "carl", "state": "online", "behind": None}]
    assert (page["member_count"], page["seq"]) == (3, 3)


async def test_behind_counts_what_is_not_acknowledged_and_not_ones_own(
    server: RunningServer, recipient: Recipient
) -> None:
    bob = await server.register("Bob", recipient)
    alice = await server.register("Alice")
    await recipient.has("Alice joined the chat")
    recipient.behaviour = answer_status(500)
    await alice.say("1")
    await recipient.has("1")
    await bob.say("mine")
    await alice.say("2")
    members = (await alice.call("ListMembers"))["members"]
    assert {member["name"]: member["behind"] for member in members} == {"Alice": None, "Bob": 2}


async def test_a_rename_is_told_and_frees_the_old_name(server: RunningServer, recipient: Recipient) -> None:
    await server.register("Bob", recipient)
    alice = await server.register("Alice")
    result = await alice.call("Rename", name="Alicia")
    await recipient.has("Alice is now Alicia")
    await server.register("Alice")
    assert (result["success"], result["name"]) == (True, "Alicia")
    assert (await refusal(alice.call("Rename", name="bob"))).data == {"field": "name"}
    assert (await refusal(alice.call("Rename", name="a:b"))).data["field"] == "name"


async def test_a_rename_to_the_same_name_tells_nobody(server: RunningServer) -> None:
    alice = await server.register("Alice")
    await alice.call("Rename", name="Alice")
    assert (await alice.call("Ping"))["seq"] == 1


async def test_a_name_is_stored_in_its_normal_form(server: RunningServer) -> None:
    alice = await server.register("Ａｌｉｃｅ")
    assert alice.result["name"] == "Alice"


async def test_ping_tells_where_one_stands(server: RunningServer, recipient: Recipient) -> None:
    bob = await server.register("Bob", recipient)
    assert await bob.call("Ping") == {
        "epoch": bob.result["epoch"],
        "seq": 1,
        "cursor": 1,
        "callback": f"http://127.0.0.1:{recipient.port}/rpc",
        "passed_over": 0,
    }


async def test_who_has_no_callback_and_does_not_call_for_ten_minutes_is_away(server: RunningServer) -> None:
    async with Recipient() as watcher:
        await server.register("Bob", watcher)
        await server.register("Alice")
        eve = await server.register("Eve")
        await watcher.has("Eve joined the chat")
        await server.clock.someone_waits(4.9, 5.0)
        server.clock.advance(599)
        await eve.call("Ping")
        await server.clock.someone_waits(4.9, 5.0)
        server.clock.advance(5)
        await watcher.has("Alice left the chat")
        await eve.call("Ping")
    assert "Eve left the chat" not in watcher.texts


async def test_a_batch_cannot_ask_for_more_than_the_server_can_hold(server: RunningServer) -> None:
    alice = await server.register("Alice")
    for _ in range(100):
        await alice.say("🙂" * 4096)
    call = {"jsonrpc": "2.0", "method": "GetHistory", "params": {"limit": 300}, "id": 1}
    headers = {"Authorization": f"Bearer {alice.token}"}
    _, raw = await server.post(msgspec.json.encode([call] * 20), headers=headers)
    answers = msgspec.json.decode(raw)
    assert len(raw) < 12 * 1024 * 1024
    assert "result" in answers[0]
    assert answers[-1]["error"]["code"] == -32600
    assert len(answers) == 20
