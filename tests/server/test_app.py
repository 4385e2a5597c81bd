"""The server as a whole: where it listens, that it starts and stops cleanly, and that it is never aimed at itself."""

import asyncio
from ipaddress import ip_network

import pytest
from aiohttp import ClientSession

from server.app import listen
from server.errors import StartError
from tests.fakes import PATIENCE_SECONDS, Recipient, RunningServer, answer_status, hang, local_settings, refusal


async def test_it_says_where_it_really_listens(server: RunningServer) -> None:
    assert server.server.authority == f"127.0.0.1:{server.server.port}"
    assert 0 < server.server.port <= 65535


def test_a_port_in_use_is_said_in_a_sentence() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.port
        with pytest.raises(StartError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: Address already in use") as told:
            listen("127.0.0.1", port)
    assert str(told.value).endswith(". Choose another CHAT_HOST or CHAT_PORT (0: any free port)")


def test_an_address_of_another_machine_is_said_in_a_sentence() -> None:
    with pytest.raises(StartError, match=r"^cannot listen on 192\.0\.2\.1:0: Cannot assign requested address"):
        listen("192.0.2.1", 0)


async def test_a_port_is_free_again_after_a_stop_with_callers_connected(session: ClientSession) -> None:
    async with RunningServer(session) as first:
        await first.register("Alice")
        port = first.server.port
    async with RunningServer(session, local_settings(port=port)) as second:
        assert (await second.register("Alice")).result["success"]


async def test_two_servers_in_one_process_have_nothing_in_common(session: ClientSession) -> None:
    async with RunningServer(session) as one, RunningServer(session) as other:
        first, second = await one.register("Alice"), await other.register("Alice")
        error = await refusal(other.call("Ping", first.token))
    assert error.code == -32001
    assert first.result["epoch"] != second.result["epoch"]


async def test_a_stop_waits_for_the_post_in_flight_and_tells_nobody_left(
    session: ClientSession, recipient: Recipient
) -> None:
    async with RunningServer(session) as server:
        await server.register("Bob", recipient)
        alice = await server.register("Alice")
        await recipient.has("Alice joined the chat")
        await alice.say("last words")
    await recipient.has("last words")
    assert recipient.texts == ["Alice joined the chat", "last words"]


async def test_a_stop_cuts_what_hangs(session: ClientSession, recipient: Recipient) -> None:
    async with RunningServer(session, drain_seconds=0.05, exchange_seconds=3600) as server:
        await server.register("Bob", recipient)
        recipient.behaviour = hang
        await server.register("Alice")
        await recipient.has("Alice joined the chat")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await server.server.stop()


async def test_a_stop_does_not_wait_for_a_retry(session: ClientSession, recipient: Recipient) -> None:
    """The retry is due when the test lets time pass, which it does not."""
    async with RunningServer(session, drain_seconds=3600) as server:
        await server.register("Bob", recipient)
        recipient.behaviour = answer_status(500)
        await server.register("Alice")
        await server.clock.someone_waits(0.2, 0.3)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await server.server.stop()


async def test_no_task_outlives_the_server(session: ClientSession, recipient: Recipient) -> None:
    before = asyncio.all_tasks()
    async with RunningServer(session) as server:
        await server.register("Bob", recipient)
        await server.register("Alice")
        await recipient.has("Alice joined the chat")
        assert {"broadcaster", "maintenance"} <= {task.get_name() for task in asyncio.all_tasks()}
    left = {task.get_name() for task in asyncio.all_tasks() - before}
    assert not [name for name in left if not name.startswith("Task-")]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "[::ffff:127.0.0.1]"])
async def test_a_server_everywhere_is_not_aimed_at_itself_even_where_loopback_is_allowed(
    session: ClientSession, host: str
) -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    settings = local_settings(host="0.0.0.0", callback_allow=everything)
    async with RunningServer(session, settings) as server:
        callback = f"http://{host}:{server.server.port}/rpc"
        assert (await refusal(server.call("Register", name="Bob", callback=callback))).code == -32005


async def test_a_network_that_is_allowed_may_be_called(session: ClientSession) -> None:
    settings = local_settings(callback_allow=(ip_network("127.0.0.2/32"),))
    async with RunningServer(session, settings) as server:
        error = await refusal(server.call("Register", name="Bob", callback="http://127.0.0.2:1/rpc"))
        assert (error.code, error.data["stage"]) == (-32004, "connect")
        assert (await refusal(server.call("Register", name="Bob", callback="http://127.0.0.3:1/rpc"))).code == -32005


async def test_behind_a_trusted_proxy_the_forwarded_address_may_be_called(
    session: ClientSession, recipient: Recipient
) -> None:
    settings = local_settings(trusted_proxies=(ip_network("127.0.0.1/32"),))
    async with RunningServer(session, settings) as server:
        for forwarded in ("127.0.0.2", "127.0.0.1, 127.0.0.2", "127.0.0.2, 127.0.0.1"):
            callback = {"callback": f"http://127.0.0.1:{recipient.port}/rpc"}
            error = await refusal(server.call("Register", forwarded=forwarded, name="Bob", **callback))
            assert error.code == -32005
            error = await refusal(server.call("Register", forwarded=forwarded, name="Bob", callback=":1/rpc"))
            assert (error.code, error.data["url"]) == (-32004, "http://127.0.0.2:1/rpc")
    assert recipient.posts == []
