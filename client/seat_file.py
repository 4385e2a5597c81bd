"""What a seat must remember through a restart of the client: one small file, which one process holds at a time.

All of it is short work on a local disk, done in the event loop: a file of some 300 bytes is written once for each POST
of the server, and never forced to the disk. A client that is killed loses nothing by that, and after a power cut the
server's own cursor, or at worst a newcomer's seat, takes its place.
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
KEPT_SECONDS: Final = 30 * 86_400  # as long as the server, unless told otherwise, keeps those who are away


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """Who sits there, by which token, and the last `seq` that was taken of the log `epoch`.

    `left`: the person has left, and the server could not be told; only who enters anew comes back to it.
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
    seat: Remembered


class _Format(msgspec.Struct):
    format: int


def by_name(name: str) -> str:
    """Give the key of the seat that somebody takes who goes by `name`; names that the server takes for one are one."""
    return f"name {unicodedata.normalize('NFKC', name).casefold()}"


def by_cookie(cookie: str) -> str:
    """Give the key of a browser's seat. Not its name: whoever types that must not come by the seat's token."""
    return f"browser {hashlib.sha256(cookie.encode()).hexdigest()}"


class SeatFile:
    """One seat's file, held (flock) until `close`. What goes wrong raises nothing: see `trouble`."""

    def __init__(self, path: Path, server: str) -> None:
        """Hold the file and read it, if there is one."""
        self.remembered: Remembered | None = None
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
        """Whether what is written here will be read again."""
        return not (self._is_closed or self._is_failing)

    def trouble(self) -> str:
        """Give a sentence for a person on what went wrong, once; empty when there is nothing new."""
        trouble, self._trouble = self._trouble, ""
        return trouble

    def write(self, seat: Remembered) -> None:
        """Replace what was remembered, in one step; when that fails, the next one is another try."""
        if self._is_closed:
            return
        body = msgspec.json.encode(_Content(format=FORMAT, server=self._server, seat=seat))
        try:
            if self._fd is None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._fd = hold(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            fresh = _write_held(self._path.with_suffix(".new"), self._path, body)
        except FileExistsError as error:  # somebody was quicker
            self._give_up(error)
        except OSError as error:
            if not self._is_failing:
                self._trouble = f"{self._path} cannot be written ({error.strerror}), so this seat is not remembered."
            self._is_failing = True
        else:
            os.close(self._fd)
            self._fd, self._is_failing = fresh, False

    def forget(self) -> None:
        """Remove the file: nobody will come back to this seat."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self.close()

    def close(self) -> None:
        """Let another process have the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._is_closed = True

    def _read(self, fd: int) -> None:
        body = os.read(fd, MAX_BYTES)
        if not body:  # killed before the first `write` had ended
            return
        try:
            if msgspec.json.decode(body, type=_Format).format > FORMAT:
                self._give_up(None, "was written by a newer version of this client")
                return
            content = msgspec.json.decode(body, type=_Content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._trouble = f"{self._path} is damaged, so you come in as somebody new."
        else:
            self.remembered = content.seat if content.server == self._server else None

    def _give_up(self, error: OSError | None, why: str = "") -> None:
        """Leave the file alone: it is another's, or not to be had."""
        if isinstance(error, BlockingIOError | FileExistsError):
            why = "is in use by another client"
        elif error is not None:
            why = f"cannot be used ({error.strerror})"
        self.close()
        self._trouble = f"{self._path} {why}, so this seat is not remembered."


class SeatFiles:
    """The directory of the seats at one server."""

    def __init__(self, directory: Path, server: str) -> None:
        self._directory = directory
        self._server = server

    def open(self, key: str) -> SeatFile:
        """Give the file of the seat `key` (see `by_name`, `by_cookie`); it is made with the first `write`."""
        return SeatFile(self._path(key), self._server)

    def move(self, name: str, key: str, others: Iterable[str]) -> None:
        """Move the seat called `name` to `key`, if there is none at `key`, from the first of `others` that has it.

        A seat that is in use stays where it is.
        """
        if os.path.exists(self._path(key)):
            return
        for path in map(self._path, others):
            if _name_in(path) != by_name(name):  # read without a lock, so that nobody finds it in use for nothing
                continue
            file = SeatFile(path, self._server)
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
        """Remove what nobody holds and nobody has written for 30 days (`now` in Unix seconds)."""
        with contextlib.suppress(OSError):  # a directory that cannot be read is told of when a seat is to be remembered
            for path in self._directory.glob("*.json"):
                _remove_old(path, now - KEPT_SECONDS)


def _name_in(path: Path) -> str:
    """Return whose seat the file remembers, as `by_name` has it; empty when it cannot be read."""
    try:
        return by_name(msgspec.json.decode(path.read_bytes(), type=_Content).seat.name)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def is_unused_since(path: Path, then: float) -> bool:
    """Return whether nobody has written the file since `then`. Raises `OSError`.

    A time before this program existed is that of a machine whose clock was not set: such a file counts as new.
    """
    written = path.stat().st_mtime
    if written < CLOCK_NOT_SET < then:
        os.utime(path)
        return False
    return written < then


def _remove_old(path: Path, then: float) -> None:
    with contextlib.suppress(OSError):  # not ours to remove, or gone already
        if is_unused_since(path, then):
            fd = hold(path, os.O_RDWR)
            path.unlink()
            os.close(fd)


def hold(path: Path, flags: int) -> int:
    """Open a file that nobody else holds, and hold it until it is closed.

    Raises `BlockingIOError` when somebody holds it, and any other `OSError`.
    """
    fd = os.open(path, flags, MODE)
    try:
        _lock(fd)
        if os.fstat(fd).st_ino != path.stat().st_ino:  # replaced meanwhile, so that somebody has it
            raise BlockingIOError
    except OSError:
        os.close(fd)
        raise
    return fd


def _write_held(temporary: Path, path: Path, body: bytes) -> int:
    """Put a new file, held already, in the place of `path`, whose holder is the only one who may call this."""
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, MODE)
    try:
        _lock(fd)
        if os.write(fd, body) != len(body):  # the disk is all but full
            raise OSError(0, "not all of it could be written")
        temporary.replace(path)
    except OSError:
        os.close(fd)
        raise
    return fd


def _lock(fd: int) -> None:
    if fcntl is None:
        raise OSError(0, "this platform has no file locks")
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
