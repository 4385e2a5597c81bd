"""The file of a durable log: create, lock, check, migrate, back up and restore it.

The file is an SQLite database in WAL mode with `synchronous=FULL`: a commit that has returned survives a crash of the
process and a power failure (https://www.sqlite.org/wal.html). The `at` of a message is in Unix seconds; the times of
members are on the store clock.
"""

import contextlib
import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from runtime.standard_streams import CANNOT_WRITE
from server.chat.names import name_keys
from server.message_log.base import NotStored, StoreUnusable
from server.message_log.statements import begin_anew

COPY_BYTES: Final = 64 * 1024
# The `application_id` in the header of the file.
STORE_ID: Final = int.from_bytes(b"RBst")
BACKUP_ID: Final = int.from_bytes(b"RBbk")  # a copy; a server that opens it makes it a new log with a new epoch
MAGIC: Final = b"SQLite format 3\0"
BUSY_SECONDS: Final = 2.0  # maximum wait for a write transaction of another program
MODE: Final = 0o600  # the file holds secrets
LONGEST_CONTROL: Final = 80  # bytes

# Migrations, in order. The schema version of a file (`user_version`) is the number of migrations applied to it.
# Released migrations must not change; append new migrations.
MIGRATIONS: Final = (
    """
    CREATE TABLE log (
        epoch TEXT NOT NULL,      -- random, made with the log
        oldest INTEGER NOT NULL   -- the lowest seq that is kept; beyond the newest when none is
    ) STRICT;

    CREATE TABLE messages (
        seq INTEGER PRIMARY KEY,
        sender_id TEXT NOT NULL,
        sender_name TEXT NOT NULL,
        text TEXT NOT NULL,
        event TEXT,               -- null for what somebody said
        client_msg_id TEXT,
        at REAL NOT NULL
    ) STRICT;
    CREATE INDEX messages_by_sender ON messages (sender_id);
    CREATE UNIQUE INDEX messages_by_client_msg_id ON messages (sender_id, client_msg_id)
        WHERE client_msg_id IS NOT NULL;

    CREATE TABLE members (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        name_key TEXT NOT NULL,   -- two names with the same key are the same name
        token_hash BLOB NOT NULL UNIQUE,
        secret BLOB NOT NULL,
        caller TEXT NOT NULL,
        callback TEXT,
        max_batch INTEGER NOT NULL,
        accepts TEXT NOT NULL,    -- a JSON array
        present INTEGER NOT NULL,
        changed_at REAL NOT NULL,
        name_held_until REAL NOT NULL,
        cursor INTEGER NOT NULL   -- the last seq that it has acknowledged
    ) STRICT;
    CREATE INDEX members_by_name ON members (name_key);
    """,
    """
    -- Names that look alike are the same name too: see NameKeys.
    ALTER TABLE members RENAME COLUMN name_key TO name_folded;
    ALTER TABLE members ADD COLUMN name_drawn TEXT NOT NULL DEFAULT '';
    ALTER TABLE members ADD COLUMN kicked INTEGER NOT NULL DEFAULT 0;
    UPDATE members SET name_folded = folded(name), name_drawn = drawn(name);
    CREATE INDEX members_by_drawn_name ON members (name_drawn);
    """,
    """
    -- Ages are measured on the store clock: see server/chat/store_clock.py.
    CREATE TABLE marks (
        at REAL NOT NULL,         -- on the store clock, as changed_at and name_held_until of members are
        wall REAL NOT NULL,       -- Unix seconds
        seq INTEGER NOT NULL      -- the newest by then
    ) STRICT;
    CREATE INDEX marks_by_time ON marks (at);
    ALTER TABLE members ADD COLUMN keeps_name INTEGER NOT NULL DEFAULT 0;

    -- What was stored by the wall clock: between two messages the store clock goes on by a day at most.
    CREATE TEMP TABLE timed AS
        SELECT seq, wall, sender_id, event, first + sum(min(max(wall - before, 0.0), 86400.0)) OVER (ORDER BY seq) AS at
        FROM (
            SELECT seq, at AS wall, sender_id, event, first_value(at) OVER (ORDER BY seq) AS first,
                coalesce(max(at) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), at) AS before
            FROM messages
        );
    CREATE INDEX temp.timed_leaves ON timed (sender_id, seq) WHERE event = 'leave';
    -- One mark an hour, each at the last message of its hour.
    INSERT INTO marks (at, wall, seq)
        SELECT max(at), max(wall), max(seq) FROM timed GROUP BY CAST(at / 3600 AS INTEGER) ORDER BY max(seq);
    INSERT INTO marks (at, wall, seq)
        SELECT max(changed_at), max(changed_at), coalesce((SELECT oldest - 1 FROM log), 0) FROM members
        WHERE NOT EXISTS (SELECT * FROM marks) HAVING count(*) > 0;
    CREATE TEMP TABLE moved AS
        SELECT id, changed_at AS was, coalesce(
            (SELECT at FROM timed WHERE sender_id = id AND event = 'leave' ORDER BY seq DESC LIMIT 1),
            (SELECT max(at) FROM marks)
        ) AS at
        FROM members;
    UPDATE members SET
        changed_at = moved.at,
        name_held_until = iif(name_held_until > was, moved.at + name_held_until - was, 0.0)
        FROM moved WHERE moved.id = members.id;
    DROP TABLE timed;
    DROP TABLE moved;
    """,
    """
    CREATE TABLE gaps (           -- numbers that no message has; a restored backup leaves them out
        after INTEGER NOT NULL,   -- those above this one
        up_to INTEGER NOT NULL    -- up to and including this one
    ) STRICT;
    """,
)


class StoreFile(NamedTuple):
    """An open store: the writing and the reading connection, and the lock that excludes a second server."""

    writer: sqlite3.Connection
    reader: sqlite3.Connection
    lock: int
    files: Mapping[Path, int]  # the database and its WAL, with their inode numbers

    def check_in_place(self) -> None:
        """Raise `NotStored` if a file was removed or replaced while it is open.

        SQLite continues to write to an unlinked file, and the data is lost when the process ends. SQLite itself detects
        this only without a WAL (SQLITE_READONLY_DBMOVED).
        """
        for file, inode in self.files.items():
            if _inode(file) != inode:
                raise NotStored(f"{file} was removed or replaced while the server was running; put it back, or restart")

    def close(self) -> None:
        """Close the connections, the writer last: closing it moves the WAL into the database and removes the WAL."""
        self.reader.close()
        self.writer.close()
        os.close(self.lock)


def open_store(path: Path, new_epoch: str, now: float) -> StoreFile:
    """Open a store, or create it. Raise `StoreUnusable`.

    A new log, and a log made from a backup, get the epoch `new_epoch`. `now`, in Unix seconds, determines where the
    numbers of a backup continue.
    """
    path = _real(path)
    with contextlib.ExitStack() as undo, _explained(path):
        _make_directory(path.parent)
        lock = _lock(path)
        undo.callback(os.close, lock)
        if not path.exists():
            _create(path, new_epoch)
        _check_header(path)
        with contextlib.suppress(OSError):  # another user owns the file, or the file system has no modes
            path.chmod(MODE)
        writer = _connect(path, "rw")
        undo.callback(writer.close)
        _prepare(writer, path, new_epoch, now)
        reader = _connect(path, "ro")
        undo.pop_all()
        return StoreFile(writer, reader, lock, {file: _inode(file) for file in (path, _beside(path, "-wal"))})


def back_up(path: Path, target: Path) -> None:
    """Write a consistent snapshot of a store to `target`. A server may be running on it. Raise `StoreUnusable`."""
    path, part = _real(path), _beside(target, ".part")
    with contextlib.ExitStack() as undo:
        with _explained(path):
            if not path.exists():
                raise StoreUnusable(f"there is no store at {path}")
            _check_header(path)
            # Even to read a database in WAL mode, SQLite creates files beside it, which fails on a read-only mount.
            # Without a WAL no server is running, so that the file does not change and may be opened as immutable.
            mode = "ro" if _leftovers(path) or os.access(path.parent, os.W_OK) else "ro&immutable=1"
            source = undo.enter_context(contextlib.closing(_connect(path, mode)))
            _check_version(source, path, MIGRATIONS)
        with _explained(target):
            if target.exists():
                raise StoreUnusable(f"{target} already exists and was not changed; give another name")
            part.unlink(missing_ok=True)  # left by an interrupted backup
            _make_file(part)
            undo.callback(part.unlink, missing_ok=True)
            with contextlib.closing(_connect(part, "rw")) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
                copy.execute(f"PRAGMA application_id = {BACKUP_ID}")
            part.replace(target)
            _sync_directory(target.parent)


def write_backup(path: Path, out: BinaryIO) -> None:
    """Copy a store as `back_up` does, and write the copy to `out`. Raise `StoreUnusable`."""
    path = _real(path)
    with contextlib.ExitStack() as undo:
        copy = _beside(path, "-backup")
        if not os.access(path.parent, os.W_OK):
            copy = Path(undo.enter_context(tempfile.TemporaryDirectory()), copy.name)
        undo.enter_context(_explained(copy))
        copy.unlink(missing_ok=True)  # left by an interrupted backup
        undo.callback(copy.unlink, missing_ok=True)
        back_up(path, copy)
        with copy.open("rb") as file:
            _send(file, out)


def _send(file: BinaryIO, out: BinaryIO) -> None:
    """Copy a file to `out`. Raise `StoreUnusable` if `out` cannot be written."""
    while chunk := file.read(COPY_BYTES):
        try:
            out.write(chunk)
            out.flush()
        except OSError as error:  # an error of the output; `_explained` handles those of the copied file
            raise StoreUnusable(f"{CANNOT_WRITE}: {error.strerror}") from None


def restore(path: Path, source: BinaryIO, name: str) -> Path | None:
    """Replace a store by the backup in `source`. Return the path at which the replaced store is kept, or None.

    `name` is the operator's name of the backup, for error texts. Raise `StoreUnusable`; then nothing has changed.
    """
    path = _real(path)
    new, replaced = _beside(path, "-restored"), _beside(path, "-replaced")
    with contextlib.ExitStack() as undo, _explained(path):
        _make_directory(path.parent)
        undo.callback(os.close, _lock(path))
        new.unlink(missing_ok=True)
        _make_file(new)
        undo.callback(new.unlink, missing_ok=True)
        _receive(new, source, name)
        was_there = path.exists()
        for suffix in ("-wal", "-shm", "-journal", ""):  # SQLite finds the side files of the replaced store by name
            _beside(replaced, suffix).unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                _beside(path, suffix).rename(_beside(replaced, suffix))
        new.rename(path)
        _sync_directory(path.parent)
    return replaced if was_there else None


def _receive(new: Path, source: BinaryIO, name: str) -> None:
    """Write a backup to `new`, check it, and mark it as a backup. A plain copy of a store is accepted, too."""
    with new.open("wb") as file:
        shutil.copyfileobj(source, file)
    header = _read_header(new)
    if header is None or header.application_id not in (STORE_ID, BACKUP_ID):
        raise StoreUnusable(f"{name} is not a backup of Ringback; `backup` makes one")
    if (size := new.stat().st_size) < header.size:
        raise StoreUnusable(f"{name} is cut off: {size} bytes, expected {header.size}")
    try:
        with contextlib.closing(_connect(new, "rw")) as db:
            _check_version(db, Path(name), MIGRATIONS)
            [(state,)] = db.execute("PRAGMA quick_check(1)")
            if state == "ok":
                db.execute("PRAGMA journal_mode = DELETE")
                db.execute(f"PRAGMA application_id = {BACKUP_ID}")
    except sqlite3.DatabaseError as error:
        state = str(error)
    if state != "ok":
        raise StoreUnusable(f"{name} is damaged ({state}); give an earlier backup")
    with new.open("rb") as file:
        os.fsync(file.fileno())


def migrate(db: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the schema up to date, in one transaction. Raise `StoreUnusable` for a schema of a newer version."""
    version = _check_version(db, path, migrations)
    if version < len(migrations):
        db.create_function("folded", 1, lambda name: name_keys(name).case_key, deterministic=True)
        db.create_function("drawn", 1, lambda name: name_keys(name).confusable_key, deterministic=True)
        steps = "".join(migrations[version:])
        db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {len(migrations)}; COMMIT;")


def _check_version(db: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> int:
    [version] = db.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        newer = f"{path} was made by a newer version of Ringback (schema {version}; this one knows {len(migrations)})"
        raise StoreUnusable(f"{newer}; run that version, or give another CHAT_STORE")
    return int(version)


def _prepare(db: sqlite3.Connection, path: Path, new_epoch: str, now: float) -> None:
    migrate(db, path)
    if (header := _read_header(path)) is not None and header.application_id == BACKUP_ID:
        # Before WAL mode is on, so that the id in the header changes in the file itself, atomically with the epoch.
        db.execute("BEGIN IMMEDIATE")
        begin_anew(db, new_epoch, now)
        db.execute(f"PRAGMA application_id = {STORE_ID}")
        db.execute("COMMIT")
    [(logs,)] = db.execute("SELECT count(*) FROM log")
    if logs != 1:
        raise StoreUnusable(_damaged(path, "its table log does not have exactly one row"))
    [(mode,)] = db.execute("PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise StoreUnusable(f"cannot use {path}: SQLite cannot use WAL mode there; give a file on a local disk")
    # Fails without write permission. Does not fail on a full disk: such a store can still be read.
    db.executescript("BEGIN IMMEDIATE; UPDATE log SET oldest = oldest; ROLLBACK")


def _create(path: Path, epoch: str) -> None:
    """Create a new log under a temporary name, then rename it: an incomplete file never has the name of a store."""
    for leftover in _leftovers(path):
        raise StoreUnusable(f"{path} is missing, but {leftover.name}, which belongs to it, exists; move that away too")
    new = _beside(path, "-new")
    new.unlink(missing_ok=True)
    _make_file(new)
    with contextlib.closing(_connect(new, "rw")) as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # can only be set before the first table is created
        db.execute(f"PRAGMA application_id = {STORE_ID}")
        migrate(db, path)
        db.execute("INSERT INTO log (epoch, oldest) VALUES (?, 1)", (epoch,))
    new.rename(path)
    _sync_directory(path.parent)


def _check_header(path: Path) -> None:
    """Raise `StoreUnusable` for a file that is not a store, or for a backup beside the WAL of another store.

    Runs before SQLite opens the file, because SQLite would apply that WAL to the backup.
    """
    elsewhere = "give another CHAT_STORE, or move it away to begin a new log"
    size, leftovers = path.stat().st_size, _leftovers(path)
    if size == 0:
        raise StoreUnusable(f"{path} is empty, and not a store; put a backup in its place, or {elsewhere}")
    header = _read_header(path)
    if header is None or header.application_id not in (STORE_ID, BACKUP_ID):
        raise StoreUnusable(f"{path} is not a store of Ringback; {elsewhere}")
    if header.application_id == BACKUP_ID and leftovers:
        name = leftovers[0].name
        raise StoreUnusable(f"{path} is a backup, but {name} beside it belongs to the previous store; remove {name}")
    if size < header.size and not leftovers:  # the missing pages may be in the WAL, if there is one
        raise StoreUnusable(_damaged(path, f"{size} bytes, expected {header.size}"))


class Header(NamedTuple):
    """Size and application id from an SQLite header (https://www.sqlite.org/fileformat.html, section 1.3)."""

    size: int
    application_id: int


def _read_header(path: Path) -> Header | None:
    """Read the header without SQLite. Return None if the file is not an SQLite database."""
    with path.open("rb") as file:
        raw = file.read(100)
    if len(raw) < 100 or not raw.startswith(MAGIC):
        return None
    page_size = int.from_bytes(raw[16:18])
    return Header(size=page_size * int.from_bytes(raw[28:32]), application_id=int.from_bytes(raw[68:72]))


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # `check_same_thread=False`: each connection is used by one thread at a time, but not by the thread that opened it.
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        db.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _lock(path: Path) -> int:
    """Lock the store against a second server. Return the file descriptor. Readers, such as `back_up`, need no lock."""
    lock = os.open(_beside(path, "-lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreUnusable(f"{path} is in use by another server; stop it, or give another CHAT_STORE") from None
    return lock


def _make_file(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, MODE))


def _make_directory(path: Path) -> None:
    if not path.exists():
        path.mkdir(mode=0o700, parents=True)
        _sync_directory(path.parent)


def _inode(path: Path) -> int:
    """Return the inode number, which is not reused while the file is open, or 0 if there is no file."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _sync_directory(path: Path) -> None:
    """Make a new name in a directory survive a power failure."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def control_path(path: Path) -> Path:
    """Return the path of the Unix socket for operators' commands to the server that has the store open.

    A hash replaces a file name over `LONGEST_CONTROL` bytes, because the length of socket addresses is limited.
    """
    beside = _beside(_real(path), "-control")
    name = os.fsencode(beside.name)
    return beside if len(name) <= LONGEST_CONTROL else beside.with_name(f"{sha256(name).hexdigest()[:32]}-control")


def _real(path: Path) -> Path:
    """Resolve symbolic links, so that a link and its target are the same store, with the same lock and WAL."""
    return Path(os.path.realpath(path))


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _leftovers(path: Path) -> list[Path]:
    """Return the existing files that SQLite would apply to this database."""
    return [file for suffix in ("-wal", "-journal") if (file := _beside(path, suffix)).exists()]


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Convert errors of the system and of SQLite into a `StoreUnusable` with a sentence for the operator."""
    try:
        yield
    except OSError as error:
        where = "" if error.filename in (None, str(path)) else f"{error.filename}: "
        who = _who(path) if isinstance(error, PermissionError) else ""
        raise StoreUnusable(f"cannot use {path}: {where}{error.strerror}{who}") from None
    except sqlite3.Error as error:
        if error.sqlite_errorname in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
            raise StoreUnusable(_damaged(path, str(error))) from None
        who = _who(path) if error.sqlite_errorname in ("SQLITE_READONLY", "SQLITE_CANTOPEN") else ""
        raise StoreUnusable(f"cannot use {path}: {error}{who}") from None


def _who(path: Path) -> str:
    """Return the user and group that lack the permission. In containers they often are not those of the operator."""
    who = f"this process runs as user {os.geteuid()} and group {os.getegid()}"
    return f"; {who}, which must be able to read and write {path.parent} and the files of the store in it"


def _damaged(path: Path, how: str) -> str:
    return f"{path} is damaged ({how}); put a backup in its place, or move it away to begin a new log"
