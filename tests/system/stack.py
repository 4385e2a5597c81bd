"""The project's own containers, started from docker-compose.yml under a project name of their own."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pexpect

ROOT: Final = Path(__file__).resolve().parent.parent.parent
CLIENTS: Final = (1, 2, 3)
PAGE_PORTS: Final = range(28181, 28581)
PORTS_EACH: Final = 50  # for one worker of the test run
BUILD_SECONDS: Final = 600.0
DEADLINE: Final = 60.0  # for a line that is awaited
SETTINGS: Final = {
    "CHAT_PUBLISH": "127.0.0.1:0",
    "CHAT_PUBLISH_PAGES": "127.0.0.1:28081-28180",
    "CHAT_EVICT_AFTER": "2",
}


def why_not() -> str | None:
    """Tell why containers cannot be run here; None if they can."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode:
            return f"{' '.join(command)} fails: no Docker Engine with Compose v2 answers"
    return None


def line(container: str, pattern: str) -> re.Pattern[str]:
    """Make the pattern of a line of the log. Compiled here, since pexpect would let a dot match the end of a line."""
    return re.compile(rf"{container} +\| (?:{pattern})\r?\n")


class Log:
    """The log of a service, followed."""

    def __init__(self, following: "pexpect.spawn[str]") -> None:
        self._following = following

    def await_from_each(self, containers: Sequence[str], pattern: str) -> None:
        """Return when each of the containers (`client-1`) has written a line that matches."""
        missing = set(containers)
        while missing:
            self._following.expect(line(f"({'|'.join(missing)})", pattern), timeout=DEADLINE)
            missing.remove(str(self._following.match[1]))

    def await_each(self, container: str, patterns: Sequence[str]) -> None:
        """Return when the container has written, in any order, a line for each of the patterns."""
        missing = list(patterns)
        while missing:
            lines = [line(container, pattern) for pattern in missing]
            missing.pop(self._following.expect(lines, timeout=DEADLINE))


class Seat:
    """A participant that only sends and reads, as a script with curl would."""

    def __init__(self, address: Callable[[], str], name: str) -> None:
        """`address` gives the host and port at which the server is reached now."""
        self._address = address
        self._registration = self._call("Register", {"name": name})

    def send(self, text: str) -> None:
        """Say something to everybody else."""
        self._call("SendMessage", {"user_id": self._registration["id"], "text": text})

    def texts(self) -> list[str]:
        """Read the newest 50 texts."""
        return [message["text"] for message in self._call("GetHistory", {})["messages"]]

    def close(self) -> None:
        """Leave."""
        self._call("Unregister", {"id": self._registration["id"]})

    def _call(self, method: str, params: Mapping[str, str]) -> Any:
        headers = {"Content-Type": "application/json"}
        if method != "Register":
            headers["Authorization"] = f"Bearer {self._registration['token']}"
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(f"http://{self._address()}/rpc", body, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["result"]


class Stack:
    """A server, the page for everybody and three clients in containers. Call `down` whatever happens."""

    def __init__(self, project: str) -> None:
        self.begun = datetime.now(UTC)
        self._project = project
        # Nothing of what the person at this machine has set, be it in the environment or in .env.
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("CHAT_", "COMPOSE_"))}
        self._environment = mine | SETTINGS | {"CHAT_PUBLISH_PAGE": f"127.0.0.1:{_free_port()}"}
        self._compose = ["docker", "compose", "--env-file", os.devnull, "--project-name", project]

    @property
    def clients(self) -> list[str]:
        """The clients, as the log names them."""
        return [f"client-{index}" for index in CLIENTS]

    def up(self) -> None:
        """Build, start, and wait until each client has taken its seat."""
        self.start("--build")
        with self.log("client", since=self.begun) as log:
            log.await_from_each(self.clients, r"\[CLIENT\] Joined as .*")

    def start(self, *options: str, **settings: str) -> None:
        """Start what does not run, or has other settings now, and wait until the server is ready."""
        self._run("up", *options, "--detach", "--scale", f"client={len(CLIENTS)}", **settings)

    def restart(self, *services: str) -> None:
        """Stop and start the containers of these services."""
        self._run("restart", *services)

    def go_down(self) -> None:
        """Remove the containers, and keep what they have stored."""
        self._run("down")

    def kill_server(self) -> None:
        """End the server as a crash would."""
        self._run("kill", "--signal", "KILL", "server")

    def down(self) -> None:
        """Leave nothing behind."""
        self._run("down", "--volumes", "--remove-orphans", "--rmi", "local")

    def stop(self) -> None:
        """Stop every container, and wait for that."""
        self._run("stop")

    def kill(self, container: str) -> None:
        """Kill a container at once."""
        self._docker("kill", f"{self._project}-{container}")

    def crash(self, container: str) -> None:
        """End the program in a container, as the system does that is out of memory."""
        program = "import os, signal; os.kill(-1, signal.SIGKILL)"  # all but the init process, which ends then
        self._docker("exec", "--detach", f"{self._project}-{container}", "python", "-c", program)

    def await_restart(self, container: str) -> None:
        """Return when Docker has started a container again by itself."""
        end = time.monotonic() + DEADLINE
        while self._docker("inspect", "--format", "{{.RestartCount}}", f"{self._project}-{container}") == "0":
            assert time.monotonic() < end, f"{container} is not started again"
            time.sleep(0.2)

    def wait(self, container: str) -> int:
        """Return when a container has ended, with its exit code."""
        return int(self._docker("wait", f"{self._project}-{container}"))

    def exit_codes(self) -> dict[str, int]:
        """Give the exit code of each container that has stopped."""
        lines = self._run("ps", "--all", "--status", "exited", "--format", "{{.Name}} {{.ExitCode}}").split()
        return {
            name.removeprefix(f"{self._project}-"): int(code) for name, code in zip(*[iter(lines)] * 2, strict=True)
        }

    def member_name(self, container: str) -> str:
        """Give the name under which a client container sits in the room."""
        return f"client-{self._docker('inspect', '--format', '{{.Config.Hostname}}', f'{self._project}-{container}')}"

    def member_ids(self, container: str) -> list[str]:
        """Give the ids under which a client container has sat in the room."""
        return re.findall(r"Joined as .* \(ID: (.*?)\)", "\n".join(self.printed(container)))

    def kick(self, member_id: str) -> str:
        """Have an operator remove somebody; gives what that printed."""
        return self._run("exec", "--no-TTY", "server", "python", "-m", "server", "kick", member_id)

    def printed(self, container: str) -> list[str]:
        """Give the lines that a container has printed until now, from its first start on."""
        return self._docker("logs", f"{self._project}-{container}").splitlines()

    def page_of_everybody(self) -> str:
        """Give the address of the page that has a fixed port."""
        return f"http://{self._environment['CHAT_PUBLISH_PAGE']}/"

    def volumes(self) -> set[str]:
        """Give the volumes of all containers of the project, also of those that were run once."""
        containers = self._docker(
            "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self._project}"
        )
        form = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
        named = self._docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={self._project}")
        return {*self._docker("inspect", "--format", form, *containers.split()).split(), *named.split()}

    def run_once(self, *arguments: str, text: str) -> None:
        """Run one more client with this input, as in a pipe."""
        done = subprocess.run(
            [*self._compose, "run", "--rm", "--no-TTY", "client", *arguments],
            cwd=ROOT,
            env=self._environment,
            input=text,
            text=True,
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def page(self, index: int) -> str:
        """Give the address of a client's page."""
        return f"http://{self._run('port', '--index', str(index), 'client', '8080')}/"

    def python(self, service: str, code: str, *arguments: str) -> str:
        """Run code in the first container of a service; gives what it printed."""
        return self._run("exec", "--no-TTY", "--index", "1", service, "python", "-c", code, *arguments)

    def host_name(self, container: str) -> str:
        """Give the name by which the other containers know one."""
        return f"{self._project}-{container}"

    def address(self, container: str) -> str:
        """Give the address of a container on their network."""
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return self._docker("inspect", "--format", form, f"{self._project}-{container}")

    def gateway(self) -> str:
        """Give the address of this machine on their network."""
        form = "{{(index .IPAM.Config 0).Gateway}}"
        return self._docker("network", "inspect", "--format", form, f"{self._project}_default")

    @contextmanager
    def log(self, service: str, since: datetime | None = None) -> Iterator[Log]:
        """Follow a service's log, from now on if not told otherwise."""
        start = (since or datetime.now(UTC)).isoformat()
        following = self._in_terminal("logs", "--follow", "--no-color", "--since", start, service)
        with closing(following):
            yield Log(following)

    @contextmanager
    def seat(self, name: str) -> Iterator[Seat]:
        """Sit in the room for a while."""
        with closing(Seat(lambda: self._run("port", "server", "9999"), name)) as seat:
            yield seat

    @contextmanager
    def terminal(self) -> Iterator["pexpect.spawn[str]"]:
        """Run one more client, in a terminal; without colours a line is one piece in what is written."""
        with closing(self._in_terminal("run", "--rm", "--env", "NO_COLOR=1", "client")) as terminal:
            yield terminal

    def _in_terminal(self, *arguments: str) -> "pexpect.spawn[str]":
        command, *first = self._compose
        return pexpect.spawn(
            command,
            [*first, *arguments],
            cwd=str(ROOT),
            env=self._environment,
            encoding="utf-8",
            timeout=DEADLINE,
            dimensions=(40, 200),
        )

    def _run(self, *arguments: str, **settings: str) -> str:
        return self._output([*self._compose, *arguments], settings)

    def _docker(self, *arguments: str) -> str:
        return self._output(["docker", *arguments])

    def _output(self, command: list[str], settings: Mapping[str, str] = MappingProxyType({})) -> str:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**self._environment, **settings},
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)} exited with {done.returncode}:\n{done.stderr[-4000:]}"
        return done.stdout.strip()


def _free_port() -> int:
    """Return a port that is free, and that no stack of this or another worker of the test run was given before."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = PAGE_PORTS[PORTS_EACH * (worker % (len(PAGE_PORTS) // PORTS_EACH)) :][:PORTS_EACH]
    for port in mine:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            if port not in _given_ports:
                _given_ports.add(port)
                return port
    raise AssertionError(f"no port of {mine} is free")


_given_ports: set[int] = set()
