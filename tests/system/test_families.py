"""Server and client on two hosts (network namespaces) that have IPv4, IPv6 or both: they always find each other."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.processes import ROOT, Program

SERVER_PORT: Final = "9999"
IPV4: Final = {"server": "10.99.0.1", "client": "10.99.0.2"}
IPV6: Final = {"server": "fd99::1", "client": "fd99::2"}
LOOPBACK: Final = "127.0.0.1 localhost\n::1 localhost\n"


def why_not() -> str | None:
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "there is no ip command (Debian's package iproute2)"
    probe = f"ringback-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        return "this machine makes no network namespaces"
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return None


class Hosts:
    """Two hosts that a cable joins."""

    def __init__(self) -> None:
        self.names = {side: f"ringback-{os.getpid()}-{side}" for side in ("server", "client")}

    def begin(self) -> None:
        for name in self.names.values():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        # Made inside: Chromium breaks off what it loads when an interface of this machine comes or goes.
        here, there = self.names.values()
        run("ip", "-n", here, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", there)
        for side, name in self.names.items():
            run("ip", "-n", name, "link", "set", "eth0", "up")
            run("ip", "-n", name, "addr", "add", f"{IPV4[side]}/24", "dev", "eth0")
            run("ip", "-n", name, "addr", "add", f"{IPV6[side]}/64", "dev", "eth0", "nodad")

    def end(self) -> None:
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False)
            shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)

    def keep_families(self, families: str) -> None:
        """Leave the hosts with the addresses of these families: "4", "6" or "46"."""
        for side, name in self.names.items():
            for family, addresses, bits in (("4", IPV4, 24), ("6", IPV6, 64)):
                verb = "replace" if family in families else "del"
                options = ["nodad"] if family == "6" and verb == "replace" else []
                command = ["ip", "-n", name, "addr", verb, f"{addresses[side]}/{bits}", "dev", "eth0", *options]
                subprocess.run(command, capture_output=True, check=False)

    def know(self, hosts_file: str) -> None:
        """Give both hosts this /etc/hosts; `ip netns exec` mounts it."""
        for name in self.names.values():
            directory = Path("/etc/netns", name)
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "hosts").write_text(LOOPBACK + hosts_file)

    def inside(self, side: str) -> list[str]:
        return ["ip", "netns", "exec", self.names[side]]


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    if reason := why_not():
        pytest.skip(reason)
    hosts = Hosts()
    try:
        hosts.begin()
        yield hosts
    finally:
        hosts.end()


async def talk(hosts: Hosts, server_host: str, client_side: str, address: str, *options: str) -> tuple[int, str]:
    """Send a line from a piped client at `address`; give its exit code and what server and client printed."""
    arguments = ["-m", "server", "--host", server_host, "--port", SERVER_PORT, "--store", "memory:"]
    server = await Program.start(*arguments, within=hosts.inside("server"))
    try:
        await server.after("Real-time RPC chat server running on ")
        command = [sys.executable, "-m", "client", "--face", "terminal", "--name", "Kim", "--server", address, *options]
        client = await asyncio.create_subprocess_exec(
            *hosts.inside(client_side), *command, cwd=ROOT, env=os.environ | {"CHAT_STATE_DIR": "none"},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        printed, _ = await asyncio.wait_for(client.communicate(b"hello\n"), 60)
        assert client.returncode is not None
        return client.returncode, f"{printed.decode()}\n{server}"
    finally:
        await server.stop()


BOTH: Final = f"{IPV4['server']} chat.test\n{IPV6['server']} chat.test\n"
ONLY_IPV4: Final = f"{IPV4['server']} chat.test\n"
ONLY_IPV6: Final = f"{IPV6['server']} chat.test\n"


@pytest.mark.parametrize(
    ("families", "server_host", "names"),
    [
        ("4", "0.0.0.0", BOTH),
        ("4", "::", BOTH),
        ("4", "chat.test", ONLY_IPV4),
        ("6", "::", BOTH),
        ("6", "chat.test", ONLY_IPV6),
        ("46", "0.0.0.0", BOTH),
        ("46", "::", ONLY_IPV6),
        ("46", "::", BOTH),
        ("46", "chat.test", ONLY_IPV6),
        ("46", "chat.test", BOTH),
        ("46", IPV6["server"], BOTH),
        ("46", IPV4["server"], BOTH),
    ],
)
async def test_client_of_another_host_reaches_the_server_by_name(
    hosts: Hosts, families: str, server_host: str, names: str
) -> None:
    hosts.keep_families(families)
    hosts.know(names)
    code, printed = await talk(hosts, server_host, "client", f"http://chat.test:{SERVER_PORT}")
    assert code == 0, printed


@pytest.mark.parametrize("client_host", ["0.0.0.0", "::", IPV4["client"], IPV6["client"]])
async def test_client_listening_on_one_family_calls_over_that_one(hosts: Hosts, client_host: str) -> None:
    hosts.keep_families("46")
    hosts.know(BOTH)
    address = f"http://chat.test:{SERVER_PORT}"
    code, printed = await talk(hosts, "::", "client", address, "--client-host", client_host)
    assert code == 0, printed


@pytest.mark.parametrize(
    ("server_host", "address"),
    [
        ("localhost", "localhost"),
        ("localhost", "[::1]"),
        ("127.0.0.1", "localhost"),
        ("0.0.0.0", "localhost"),
        ("::", "localhost"),
        ("::", "[::1]"),
    ],
)
async def test_client_of_the_same_host_reaches_the_server(hosts: Hosts, server_host: str, address: str) -> None:
    hosts.keep_families("46")
    hosts.know(BOTH)
    code, printed = await talk(hosts, server_host, "server", f"http://{address}:{SERVER_PORT}")
    assert code == 0, printed
