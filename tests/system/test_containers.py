"""What the containers may do. The questions below are functions that are sent into a container and answered there."""

import inspect
import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.system.stack import Stack

pytestmark = [pytest.mark.compose, pytest.mark.parametrize("service", ["server", "client"])]

STATE: Final = {"server": "/data", "client": "/state"}
IN_MEMORY: Final = {"/tmp", "/dev/shm", "/dev/mqueue"}  # gone with the container
UNPRIVILEGED: Final = {
    "Uid": "10001 10001 10001 10001",
    "Gid": "10001 10001 10001 10001",
    "Groups": "10001",
    **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16),
    "NoNewPrivs": "1",
}


def ask(stack: Stack, service: str, question: Callable[[], Any]) -> Any:
    """Call a function, which imports all that it uses itself, in a container as the program there would."""
    code = f"{inspect.getsource(question)}\nimport json\nprint(json.dumps({question.__name__}()))"
    return json.loads(stack.python(service, code))


def credentials() -> list[tuple[str, dict[str, str]]]:
    """Give the command line and the credentials of every process."""
    from pathlib import Path

    wanted = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        lines = [line.partition(":") for line in (process / "status").read_text().splitlines()]
        command = (process / "cmdline").read_text().replace("\0", " ")
        found.append((command, {name: " ".join(value.split()) for name, _, value in lines if name in wanted}))
    return found


def directories() -> dict[str, str]:
    """Try to make a file in each directory but those of the kernel; tells how that went."""
    import errno
    import os

    outcome = {}
    for directory, _, _ in os.walk("/"):
        if directory.startswith(("/proc", "/sys")):
            continue
        try:
            os.close(os.open(f"{directory}/.probe", os.O_CREAT | os.O_WRONLY))
            os.unlink(f"{directory}/.probe")
            outcome[directory] = "written"
        except OSError as error:
            outcome[directory] = errno.errorcode[error.errno or 0]
    return outcome


def mounts() -> dict[str, list[str]]:
    """Give the options of each mount."""
    from pathlib import Path

    rows = [row.split() for row in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {row[4]: row[5].split(",") for row in rows}


def copied_program() -> dict[str, str]:
    """Try to run a copy of a program; tells how that went."""
    import os
    import shutil
    import subprocess
    import sys

    outcome = {}
    for directory in ("/tmp", "/dev/shm"):
        copy = shutil.copy(os.path.realpath(sys.executable), f"{directory}/copy")
        os.chmod(copy, 0o4755)
        try:
            outcome[directory] = f"ended with {subprocess.run([copy, '-c', ''], check=False).returncode}"
        except PermissionError:
            outcome[directory] = "refused"
        os.unlink(copy)
    return outcome


def gains() -> dict[str, str]:
    """Try whatever needs a capability, or would give one; tells how that went."""
    import ctypes
    import os
    import socket
    import stat
    import struct
    from pathlib import Path

    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: object) -> None:
        if getattr(libc, name)(*arguments):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    own = Path("/tmp/own")
    own.touch()
    new_user_namespace, remount, bind = 0x1000_0000, 32, 4096
    version_3 = struct.pack("Ii", 0x2008_0522, 0)
    acts: dict[str, Callable[[], object]] = {
        "become root": lambda: os.setuid(0),
        "take root's group": lambda: os.setgid(0),
        "take root's groups": lambda: os.setgroups([0]),
        "give a file to root": lambda: os.chown(own, 0, 0),
        "take every capability": lambda: call("capset", version_3, b"\xff" * 24),
        "be root of a user namespace": lambda: call("unshare", new_user_namespace),
        "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "make the root writable": lambda: call("mount", None, b"/", None, remount | bind, None),
        "unmount": lambda: call("umount", b"/tmp"),
        "change the root": lambda: os.chroot("/tmp"),
        "make a device": lambda: os.mknod("/tmp/device", stat.S_IFCHR | 0o600, os.makedev(1, 1)),
        "send raw packets": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close(),
        "listen to all packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
        "rename the host": lambda: socket.sethostname("other"),
    }
    outcome = {}
    for name, act in acts.items():
        try:
            act()
            outcome[name] = "done"
        except PermissionError:
            outcome[name] = "refused"
        except OSError as error:
            outcome[name] = str(error)
    own.unlink()
    return outcome


def changeable_code() -> list[str]:
    """Find what of the program's own files is not root's alone to change."""
    import os

    names = [
        os.path.join(directory, name)
        for top in ("/app", "/venv")
        for directory, _, files in os.walk(top)
        for name in (".", *files)
    ]
    assert names
    facts = [(name, os.stat(name)) for name in names]
    return [name for name, status in facts if status.st_uid != 0 or status.st_mode & 0o002]


def tools() -> list[str]:
    """Find what could install or build further programs."""
    import shutil
    from importlib.util import find_spec

    packages = [name for name in ("pip", "setuptools", "wheel") if find_spec(name)]
    return packages + [name for name in ("cc", "gcc", "clang", "ld", "make", "curl", "wget") if shutil.which(name)]


def test_no_process_is_roots_or_has_or_can_get_a_capability(stack: Stack, service: str) -> None:
    processes = ask(stack, service, credentials)
    assert any(command.strip() == f"python -m {service}" for command, _ in processes)
    for command, found in processes:
        assert found == UNPRIVILEGED, command


def test_only_the_state_and_what_is_in_memory_can_be_written(stack: Stack, service: str) -> None:
    found = ask(stack, service, directories)
    written = {name for name, outcome in found.items() if outcome == "written"}
    in_state = {name for name in written if name.startswith(f"{STATE[service]}/")}  # a folder for each client
    assert written - in_state == IN_MEMORY | {STATE[service]}


def test_the_root_file_system_is_read_only(stack: Stack, service: str) -> None:
    found = ask(stack, service, directories)
    for name in ("/", "/app", "/venv", "/etc", "/usr", "/home", "/var", "/var/tmp"):
        assert found[name] == "EROFS", name


def test_what_is_in_memory_holds_neither_programs_nor_devices(stack: Stack, service: str) -> None:
    found = ask(stack, service, mounts)
    for name in IN_MEMORY:
        assert {"noexec", "nosuid", "nodev"} <= set(found[name]), name


def test_a_program_that_was_copied_to_memory_does_not_run(stack: Stack, service: str) -> None:
    assert set(ask(stack, service, copied_program).values()) == {"refused"}


def test_whatever_needs_a_capability_is_refused(stack: Stack, service: str) -> None:
    outcome = ask(stack, service, gains)
    assert outcome == dict.fromkeys(outcome, "refused")


def test_its_own_code_is_only_roots_to_change(stack: Stack, service: str) -> None:
    assert ask(stack, service, changeable_code) == []


def test_it_has_nothing_to_install_or_build_programs_with(stack: Stack, service: str) -> None:
    assert ask(stack, service, tools) == []
