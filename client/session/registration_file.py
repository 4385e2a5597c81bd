"""A registration stored across restarts of the client: one small file, locked by one process at a time.

The event loop itself reads and writes: a file of about 300 bytes on a local disk, written once for each POST of the
server, without fsync. A killed client loses nothing by that. After a power failure the client falls back on the cursor
that the server stores, or at worst registers as a new member.
"""

import contextlib
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

try:
    import fcntl
except ImportError:  # a platform without it
    fcntl = None  # type: ignore[assignment]

FORMAT: Final = 1
MODE: Final = 0o600
MAX_BYTES: Final = 64 * 1024
CLOCK_NOT_SET: Final = 1_704_067_200  # 2024, in Unix seconds
KEPT_SECONDS: Final = 30 * 86_400  # the default time for which the server keeps members that are away


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A stored registration; `taken` is the last `seq` received of the log `epoch`.

    `left`: the person has left, but `Unregister` failed. Only `Participant.enter` continues the registration.
    """

    id: str
    name: str
    token: str
    epoch: str
    taken: int
    left: bool = False


class _Content(msgspec.Struct, kw_only=True):
    format: int
    server: str
    seat: Registration


class _Format(msgspec.Struct):
    format: int


def by_name(name: str) -> str:
    """Return the key of the registration of `name`; names that the server treats as equal have the same key."""
    return f"name {unicodedata.normalize('NFKC', name).casefold()}"


def by_cookie(cookie: str) -> str:
    """Return the key of a browser's registration: not by name, as typing a name must not give access to its token."""
    return f"browser {hashlib.sha256(cookie.encode()).hexdigest()}"


class RegistrationFile:
    """The file of one registration, locked (flock) until `close`. No method raises `OSError`: see `trouble`."""

    def __init__(self, path: Path, server: str) -> None:
        """Lock the file and read it, if it exists."""
        self.remembered: Registration | None = None
        self._trouble = ""
        self._is_failing = False
        self._path = path
        self._server = server
        self._fd: int | None = None
        self._is_closed = False
        try:
            self._fd = hold(path, os.O_RDWR)
            self._read(self._fd)
        except FileNotFoundError:
            return
        except OSError as error:
            self._give_up(error)

    @property
    def is_usable(self) -> bool:
        """Whether later reads see the writes: the file is open and the last write succeeded."""
        return not (self._is_closed or self._is_failing)

    def trouble(self) -> str:
        """Return the last problem as a sentence for a person, once; "" if there is no new problem."""
        trouble, self._trouble = self._trouble, ""
        return trouble

    def write(self, seat: Registration) -> None:
        """Replace the stored registration atomically. After a failure the next call tries again."""
        if self._is_closed:
            return
        body = msgspec.json.encode(_Content(format=FORMAT, server=self._server, seat=seat))
        try:
            if self._fd is None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._fd = hold(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            fresh = _write_held(self._path.with_suffix(".new"), self._path, body)
        except FileExistsError as error:  # another process has created it
            self._give_up(error)
        except OSError as error:
            if not self._is_failing:
                self._trouble = f"{self._path} cannot be written ({error.strerror}); this registration is not stored."
            self._is_failing = True
        else:
            os.close(self._fd)
            self._fd, self._is_failing = fresh, False

    def forget(self) -> None:
        """Remove the file and close it."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self.close()

    def close(self) -> None:
        """Release the file for other processes."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._is_closed = True

    def _read(self, fd: int) -> None:
        body = os.read(fd, MAX_BYTES)
        if not body:  # the process was killed during its first `write`
            return
        try:
            if msgspec.json.decode(body, type=_Format).format > FORMAT:
                self._give_up(None, "was written by a newer version of this client")
                return
            content = msgspec.json.decode(body, type=_Content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._trouble = f"{self._path} is damaged, so you join as a new member."
        else:
            self.remembered = content.seat if content.server == self._server else None

    def _give_up(self, error: OSError | None, why: str = "") -> None:
        """Close the file for good: another process holds it, or it is not accessible."""
        if isinstance(error, BlockingIOError | FileExistsError):
            why = "is in use by another client"
        elif error is not None:
            why = f"cannot be used ({error.strerror})"
        self.close()
        self._trouble = f"{self._path} {why}; this registration is not stored."


class RegistrationFiles:
    """The stored registrations at one server, within a directory."""

    def __init__(self, directory: Path, server: str) -> None:
        self._directory = directory
        self._server = server

    def open(self, key: str) -> RegistrationFile:
        """Return the file of `key` (see `by_name`, `by_cookie`). The first `write` creates it."""
        return RegistrationFile(self._path(key), self._server)

    def move(self, name: str, key: str, others: Iterable[str]) -> None:
        """Move the registration of `name` to `key` from the first of the keys `others` that has it, if `key` has none.

        A registration that is in use stays where it is.
        """
        if os.path.exists(self._path(key)):
            return
        for path in map(self._path, others):
            if _name_in(path) != by_name(name):  # read without a lock, as other processes would see the file in use
                continue
            file = RegistrationFile(path, self._server)
            if file.remembered is not None:
                with contextlib.suppress(OSError):
                    path.rename(self._path(key))
            file.close()
            return

    def _path(self, key: str) -> Path:
        readable = re.sub(r"[^a-z0-9]+", "-", key)[:24].strip("-")
        digest = hashlib.sha256(f"{self._server}\n{key}".encode(errors="surrogatepass")).hexdigest()[:24]
        return self._directory / f"{readable}-{digest}.json"

    def sweep(self, now: float) -> None:
        """Remove files that are not locked and were not written for 30 days (`now` in Unix seconds)."""
        with contextlib.suppress(OSError):  # `RegistrationFile` reports an unreadable directory
            for path in self._directory.glob("*.json"):
                _remove_old(path, now - KEPT_SECONDS)


def _name_in(path: Path) -> str:
    """Return the name in the file as a key (`by_name`), or "" if the file cannot be read."""
    try:
        return by_name(msgspec.json.decode(path.read_bytes(), type=_Content).seat.name)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def is_unused_since(path: Path, then: float) -> bool:
    """Return whether the file was last written before `then`. Raise `OSError`.

    A time before this program existed stems from a machine with an unset clock: the file counts as new, and is touched.
    """
    written = path.stat().st_mtime
    if written < CLOCK_NOT_SET < then:
        os.utime(path)
        return False
    return written < then


def _remove_old(path: Path, then: float) -> None:
    with contextlib.suppress(OSError):  # locked, not permitted, or already removed
        if is_unused_since(path, then):
            fd = hold(path, os.O_RDWR)
            path.unlink()
            os.close(fd)


def hold(path: Path, flags: int) -> int:
    """Open a file and lock it until it is closed. Return its descriptor.

    Raise `BlockingIOError` if another descriptor has the lock, or any other `OSError`.
    """
    fd = os.open(path, flags, MODE)
    try:
        _lock(fd)
        if os.fstat(fd).st_ino != path.stat().st_ino:  # replaced in the meantime, so another process has the lock
            raise BlockingIOError
    except OSError:
        os.close(fd)
        raise
    return fd


def _write_held(temporary: Path, path: Path, body: bytes) -> int:
    """Replace `path` by a new, locked file and return its descriptor. The caller must hold the lock on `path`."""
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, MODE)
    try:
        _lock(fd)
        if os.write(fd, body) != len(body):  # the disk is almost full
            raise OSError(0, "incomplete write")
        temporary.replace(path)
    except OSError:
        os.close(fd)
        raise
    return fd


def _lock(fd: int) -> None:
    if fcntl is None:
        raise OSError(0, "this platform has no file locks")
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
