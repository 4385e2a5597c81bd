"""The state directory of a client: registrations of people, and a folder for each client with a page.

One process at a time locks a folder. A folder is named after its host, so that each client that shares a directory (the
containers of one volume) finds its own folder again. Registrations of people are stored beside the folders, since a
person may come back through another client.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec

from client.faces.web.cookies import PREFIX
from client.session.registration_file import KEPT_SECONDS, RegistrationFiles, hold, is_unused_since
from client.settings import NO_STATE, Settings

ID_FILE: Final = "id"
ID_PATTERN: Final = re.compile(r"[0-9a-f]{12}")
MAX_CLIENTS: Final = 1000  # of a host, with folders in the same state directory
LOOK_UP_SECONDS: Final = 2.0
DAY_SECONDS: Final = 86_400.0
SWEPT_FILE: Final = "swept"


class State:
    """The stored state of this client: registrations of people, its own registration, and the name of its cookie."""

    def __init__(self, settings: Settings) -> None:
        """Lock a folder, if this client has a page. Without a state directory, nothing is stored."""
        self.registrations_of_people: RegistrationFiles | None = None
        self.own_registrations: RegistrationFiles | None = None
        self._directory = settings.state_dir
        self._folder: StateFolder | None = None
        if settings.state_dir == NO_STATE:
            return
        self.registrations_of_people = RegistrationFiles(settings.state_dir, settings.server)
        if settings.has_page:
            self._folder = take_folder(settings.state_dir, host_name())
        self.own_registrations = RegistrationFiles(
            self._folder.path if self._folder else settings.state_dir, settings.server
        )

    def cookie_name(self, port: int) -> str:
        """Return the name of the page's cookie. It belongs to the folder, and differs between the clients of a host."""
        if self._folder is not None:
            return f"{PREFIX}{self._folder.id}"
        return f"{PREFIX}{hashlib.sha256(f'{socket.gethostname()} {port}'.encode()).hexdigest()[:12]}"

    def sweep(self, now: float) -> None:
        """Remove files and folders that are not locked and were unused for 30 days (`now` in Unix seconds)."""
        if self.registrations_of_people is None:
            return
        if self._folder is not None:
            self._folder.touch()
        with contextlib.suppress(OSError):  # reported by `RegistrationFile`
            now = _aged_until(self._directory, now)
            sweep_folders(self._directory, now)
            for registrations in (self.registrations_of_people, self.own_registrations):
                if registrations is not None:
                    registrations.sweep(now)

    @contextlib.asynccontextmanager
    async def swept_daily(self) -> AsyncIterator[None]:
        """Sweep now and once a day."""

        async def sweeping() -> None:
            while True:
                self.sweep(time.time())
                await asyncio.sleep(DAY_SECONDS)

        task = asyncio.create_task(sweeping())
        try:
            yield
        finally:
            task.cancel()


class StateFolder:
    """A folder that this process locks until `close`. `id` is random, and stored in the folder."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd  # holds the lock (flock)
        told = os.read(fd, 64).decode(errors="replace").strip()
        self.id = told if ID_PATTERN.fullmatch(told) else secrets.token_hex(6)
        if self.id != told:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{self.id}\n".encode(), 0)
        self.touch()

    def touch(self) -> None:
        """Mark the folder as in use: `sweep_folders` keeps it for another 30 days."""
        with contextlib.suppress(OSError):
            os.utime(self._fd)

    def close(self) -> None:
        """Release the folder for other processes."""
        os.close(self._fd)


def take_folder(directory: Path, host: str) -> StateFolder | None:
    """Lock and return the first free folder of `host`, `host-2`, `host-3` …; None if there is none or it fails."""
    name = re.sub(r"[^a-z0-9._-]", "-", host.lower()).strip(".")[:64] or "client"
    with contextlib.suppress(OSError):  # reported by `RegistrationFile`
        for number in range(1, MAX_CLIENTS + 1):
            path = directory / (name if number == 1 else f"{name}-{number}")
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(BlockingIOError):
                return StateFolder(path, hold(path / ID_FILE, os.O_RDWR | os.O_CREAT))
    return None


def sweep_folders(directory: Path, now: float) -> None:
    """Remove each folder that is not locked and was unused for 30 days (`now` in Unix seconds)."""
    with contextlib.suppress(OSError):
        for path in directory.glob(f"*/{ID_FILE}"):
            _remove_old(path, now - KEPT_SECONDS)


def _remove_old(path: Path, then: float) -> None:
    with contextlib.suppress(OSError):  # locked, not permitted, or already removed
        if is_unused_since(path, then):
            fd = hold(path, os.O_RDWR)
            shutil.rmtree(path.parent, ignore_errors=True)
            os.close(fd)


class _Swept(msgspec.Struct):
    """The content of `SWEPT_FILE`, in Unix seconds: the time up to which files have aged, and the latest clock."""

    aged_until: float
    clock: float


def _aged_until(directory: Path, now: float) -> float:
    """Return and store the time up to which files have aged: advance it by the clock's progress since the last sweep.

    The progress counts up to a day, and only beyond the latest clock value ever seen, so that a jumping clock does not
    empty the directory, however often this client starts. The first sweep uses the time of the newest registration as
    the last sweep. Raise `OSError` if there is no directory.
    """
    stamp = directory / SWEPT_FILE
    fd = os.open(stamp, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        last = _read_swept(fd)
        if last is None:
            newest = max((path.stat().st_mtime for path in directory.glob("**/*.json")), default=now)
            last = _Swept(min(newest, now), min(newest, now))
        aged_until = last.aged_until + min(max(now - last.clock, 0.0), DAY_SECONDS)
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(_Swept(aged_until, max(now, last.clock))), 0)
        return aged_until
    finally:
        os.close(fd)


def _read_swept(fd: int) -> _Swept | None:
    try:
        return msgspec.json.decode(os.pread(fd, 256, 0), type=_Swept)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def host_name() -> str:
    """Return a name of this host that a rebuilt container gets again.

    The host name of a container is its id by default. Docker's name server resolves the address to the container's
    name, `project-service-1.network`. `getent -s dns` bypasses `/etc/hosts`, which has only the id.
    """
    name = socket.gethostname()
    if not Path("/.dockerenv").exists():
        return name
    try:
        address = socket.gethostbyname(name)
        told = subprocess.run(  # noqa: S603  # the address is the host's own
            ["getent", "-s", "dns", "hosts", address],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=LOOK_UP_SECONDS,
            check=True,
        )
        return told.stdout.split()[1].partition(".")[0] or name
    except (OSError, subprocess.SubprocessError, IndexError):
        return name
