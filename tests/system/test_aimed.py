"""In containers, too, the server rings only who has called it: not itself, not its host, not the one next door."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.system.stack import Stack

pytestmark = pytest.mark.compose

# As a client would call that has gone bad: from its container, under its address. The slim image has no curl.
REGISTER = """
import json, sys
from http.client import HTTPConnection
params = {"name": "Eve", "callback": sys.argv[1]}
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "Register", "params": params})
connection = HTTPConnection("server", 9999, timeout=60)
connection.request("POST", "/rpc", body, {"Content-Type": "application/json"})
print(connection.getresponse().read().decode())
"""
NOT_ALLOWED = -32005


def refused(stack: Stack, callback: str) -> dict[str, Any]:
    """Register from a client's container with this callback; gives the error."""
    error: dict[str, Any] = json.loads(stack.python("client", REGISTER, callback))["error"]
    return error


@pytest.fixture(scope="module")
def gateway(stack: Stack) -> str:
    """The address of this machine on the containers' network."""
    return stack.gateway()


@pytest.fixture
def canary(gateway: str) -> Iterator[socket.socket]:
    """Listens on this machine, where the containers could reach it."""
    with socket.create_server((gateway, 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.mark.parametrize(
    "callback",
    [
        "http://server:9999/rpc",
        "http://127.0.0.1:9999/rpc",
        "http://127.0.0.1:9999/",
        "http://localhost:9999/rpc",
        "http://[::1]:9999/rpc",
        "http://0.0.0.0:9999/rpc",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
def test_a_client_cannot_aim_the_server_at_itself(stack: Stack, callback: str) -> None:
    assert refused(stack, callback)["code"] == NOT_ALLOWED


def test_a_client_cannot_aim_the_server_at_itself_by_its_address(stack: Stack) -> None:
    assert refused(stack, f"http://{stack.address('server-1')}:9999/rpc")["code"] == NOT_ALLOWED


def test_a_client_cannot_aim_the_server_at_its_host(stack: Stack, gateway: str, canary: socket.socket) -> None:
    error = refused(stack, f"http://{gateway}:{canary.getsockname()[1]}/rpc")
    with suppress(BlockingIOError):
        canary.accept()[0].close()
        pytest.fail("the host was called")
    assert error["code"] == NOT_ALLOWED


def test_a_client_cannot_aim_the_server_at_another_client(stack: Stack) -> None:
    error = refused(stack, f"http://{stack.host_name('client-2')}:8080/")
    assert error["code"] == NOT_ALLOWED
    assert stack.address("client-2") not in json.dumps(error)


def test_a_client_is_told_apart_what_does_not_resolve(stack: Stack) -> None:
    error = refused(stack, "http://nobody.invalid:8080/")
    assert (error["code"], error["data"]["stage"]) == (-32004, "dns")
