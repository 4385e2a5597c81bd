import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor, wait

import pexpect
import pytest

from tests.system.stack import CLIENTS, Stack

pytestmark = pytest.mark.compose


def test_three_clients_join(stack: Stack) -> None:
    with stack.log("server", since=stack.begun) as log:
        joins = [
            rf"\[JOIN\] User {stack.member_name(client)} \(ID: .*\) joined the chat from .*" for client in stack.clients
        ]
        log.await_each("server-1", joins)


def test_a_message_by_http_is_in_the_log_of_every_client(stack: Stack) -> None:
    with stack.log("client") as log, stack.seat("Curl") as curl:
        curl.send("Hello containers!")
        log.await_from_each(stack.clients, "Curl: Hello containers!")


def test_every_client_has_a_page_of_its_own(stack: Stack) -> None:
    pages = {stack.page_of_everybody(), *(stack.page(index) for index in CLIENTS)}
    assert len(pages) == 1 + len(CLIENTS)
    for page in pages:
        with urllib.request.urlopen(page, timeout=60) as response:
            assert response.status == 200


def test_page_that_crashes_is_started_again(stack: Stack) -> None:
    stack.crash("page-1")
    stack.await_restart("page-1")


def test_clients_that_are_run_once_leave_no_volume(stack: Stack) -> None:
    before = stack.volumes()
    with stack.log("client") as log:
        for text in ("deploy begun", "deploy done"):
            stack.run_once("--face", "terminal", "--name", "ci", text=f"{text}\n")
            log.await_from_each(stack.clients, f"ci: {text}")
    assert stack.volumes() == before
    assert {name.rpartition("_")[2] for name in before} == {"data", "state"}


def test_a_person_in_a_terminal_chats_and_leaves(stack: Stack) -> None:
    with stack.log("client") as log, stack.seat("Carl") as carl, stack.terminal() as terminal:
        terminal.expect_exact("Enter your name: ")
        terminal.sendline("Dora")
        terminal.expect(r"Welcome, Dora! \(ID: .*\)")
        terminal.expect_exact("You: ")
        terminal.sendline("Hello from a terminal!")
        log.await_from_each(stack.clients, "Dora: Hello from a terminal!")
        terminal.sendcontrol("z")  # nobody could let a process go on that it stopped: its parent is the init process
        carl.send("Hello terminal!")
        terminal.expect_exact("Carl: Hello terminal!")
        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)
        assert terminal.wait() == 0
        log.await_from_each(stack.clients, r"\[SYSTEM\] Dora left the chat")


def test_the_others_see_a_killed_client_leave(own_stack: Stack) -> None:
    killed, *others = own_stack.clients
    name = own_stack.member_name(killed)
    with own_stack.log("client") as log, own_stack.seat("Curl") as curl:
        own_stack.kill(killed)
        curl.send("Is everybody here?")  # it is not heard there; without it the server would ask after 15 s
        log.await_from_each(others, rf"\[SYSTEM\] {name} left the chat \(unreachable\)")


def test_an_operator_removes_a_client_which_says_so_and_ends(own_stack: Stack) -> None:
    name, [member_id] = own_stack.member_name("client-2"), own_stack.member_ids("client-2")
    with own_stack.log("client") as log:
        assert own_stack.kick(member_id) == f"{name} (ID: {member_id}) is removed"
        log.await_from_each(["client-1", "client-3"], rf"\[SYSTEM\] {name} left the chat")
        log.await_from_each(["client-2"], r"\[CLIENT\] An operator has removed you from this chat\..*")
    assert own_stack.wait("client-2") == 1


def test_a_killed_server_loses_nothing_and_everybody_carries_on(own_stack: Stack) -> None:
    with own_stack.log("client") as log, own_stack.seat("Curl") as curl, own_stack.terminal() as terminal:
        terminal.expect_exact("Enter your name: ")
        terminal.sendline("Dora")
        terminal.expect("Welcome, Dora!")
        curl.send("Before the crash")
        log.await_from_each(own_stack.clients, "Curl: Before the crash")
        own_stack.kill_server()
        terminal.sendline("During the crash, one")
        terminal.expect_exact("Trying again in ")
        terminal.sendline("During the crash, two")
        own_stack.start()
        terminal.expect_exact("[CLIENT] back, ")
        log.await_from_each(own_stack.clients, "Dora: During the crash, two")
        curl.send("After the crash")  # with the token that it has
        log.await_from_each(own_stack.clients, "Curl: After the crash")
    said = ["Curl: Before the crash", "Dora: During the crash, one", "Dora: During the crash, two"]
    for client in own_stack.clients:
        printed = own_stack.printed(client)
        assert [line for line in printed if "the crash" in line] == [*said, "Curl: After the crash"]
        assert printed.count("[SYSTEM] Curl joined the chat") == 1


def test_restarted_clients_miss_nothing_and_show_nothing_twice(own_stack: Stack) -> None:
    said: list[str] = []
    with own_stack.seat("Curl") as curl, ThreadPoolExecutor() as pool:
        restarting = pool.submit(own_stack.restart, "client")
        while wait([restarting], timeout=0.2).not_done:
            said.append(f"Number {len(said)}")
            curl.send(said[-1])
        restarting.result()
        with own_stack.log("client") as log:  # not before: it would end with the containers
            curl.send("Is everybody back?")
            log.await_from_each(own_stack.clients, r"Curl: Is everybody back\?")
    for client in own_stack.clients:
        printed = own_stack.printed(client)
        assert [line for line in printed if "Number" in line] == [f"Curl: {text}" for text in said]
        assert len({line for line in printed if "Joined as" in line}) == 1  # the same name and id


def test_stop_ends_every_container_with_exit_code_0_after_the_clients_have_left(own_stack: Stack) -> None:
    names = [re.escape(own_stack.member_name(client)) for client in own_stack.clients]
    with own_stack.log("server") as log:
        own_stack.stop()
        log.await_each("server-1", [rf"\[LEAVE\] User {name} \(ID: .*\) left the chat" for name in names])
    assert own_stack.exit_codes() == dict.fromkeys([*own_stack.clients, "page-1", "server-1"], 0)
