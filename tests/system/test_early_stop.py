"""SIGTERM while a program that is process 1, as in a container, has not started yet."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.processes import Program

PROCESS_1: Final = ("unshare", "--fork", "--pid", "--kill-child")


def why_not() -> str | None:
    if shutil.which("unshare") is None:
        return "there is no unshare command (Debian's package util-linux)"
    if subprocess.run([*PROCESS_1, "true"], capture_output=True, check=False).returncode:
        return "this machine makes no PID namespaces"
    return None


def child_of(pid: int) -> int:
    [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@pytest.mark.parametrize("side", ["server", "client"])
async def test_sigterm_during_the_start_of_process_1_ends_it(side: str, tmp_path: Path) -> None:
    fifo = tmp_path / "key"
    os.mkfifo(fifo)
    program = await Program.start("-m", side, "--join-key-file", str(fifo), within=PROCESS_1)
    try:
        writer = await asyncio.to_thread(os.open, fifo, os.O_WRONLY)  # when it is about to read its settings
        os.kill(child_of(program.pid), signal.SIGTERM)
        assert await program.end() == 128 + signal.SIGTERM
        os.close(writer)
    finally:
        await program.kill()
    assert program.lines == []
