"""The file of a durable log: made, locked, checked, brought up to date, copied.

An SQLite database in WAL mode with `synchronous=FULL`, so that a commit that returned outlives the process and the
power (https://www.sqlite.org/wal.html). Times in it are Unix seconds.
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
from server.core.names import name_keys
from server.message_log.base import NotStored, StoreUnusable
from server.message_log.statements import begin_anew

# What the file's header says it is.
COPY_BYTES: Final = 64 * 1024
STORE_ID: Final = int.from_bytes(b"RBst")
BACKUP_ID: Final = int.from_bytes(b"RBbk")  # a copy: what comes after its last message will be another log
MAGIC: Final = b"SQLite format 3\0"
BUSY_SECONDS: Final = 2.0  # how long the write transaction of another program is waited for
MODE: Final = 0o600  # secrets are in it
LONGEST_CONTROL: Final = 80  # bytes

# Migrations, in order: the schema version of a file (`user_version`) is how many of them it has had. What has been
# released is never changed here, only added to.
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
    -- Ages are measured on the store clock: see server/core/store_clock.py.
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
    """An open store: who writes it, who reads it, and the lock that keeps a second server away."""

    writer: sqlite3.Connection
    reader: sqlite3.Connection
    lock: int
    files: Mapping[Path, int]  # the database and its WAL, with their inode numbers

    def check_in_place(self) -> None:
        """Raise `NotStored` if a file was removed or replaced while it is open.

        SQLite writes on into a file that has no name any more, and all of it is gone with the process. Without a WAL it
        looks for that itself (SQLITE_READONLY_DBMOVED).
        """
        for file, inode in self.files.items():
            if _inode(file) != inode:
                raise NotStored(f"{file} was removed or replaced while the server runs; put it back, or restart")

    def close(self) -> None:
        """Close it. The writer goes last: it puts what is in the WAL where it belongs, and removes it."""
        self.reader.close()
        self.writer.close()
        os.close(self.lock)


def open_store(path: Path, new_epoch: str, now: float) -> StoreFile:
    """Open a store, making it if there is none. Raises `StoreUnusable`.

    `new_epoch` is for a new log and for a backup, whose numbers go on by `now`, in Unix seconds.
    """
    path = _real(path)
    with contextlib.ExitStack() as undo, _explained(path):
        _make_directory(path.parent)
        lock = _lock(path)
        undo.callback(os.close, lock)
        if not path.exists():
            _create(path, new_epoch)
        _check_header(path)
        with contextlib.suppress(OSError):  # somebody else's file, or a file system without modes
            path.chmod(MODE)
        writer = _connect(path, "rw")
        undo.callback(writer.close)
        _prepare(writer, path, new_epoch, now)
        reader = _connect(path, "ro")
        undo.pop_all()
        return StoreFile(writer, reader, lock, {file: _inode(file) for file in (path, _beside(path, "-wal"))})


def back_up(path: Path, target: Path) -> None:
    """Copy a store, whether or not a server runs on it, as it is at one moment. Raises `StoreUnusable`."""
    path, part = _real(path), _beside(target, ".part")
    with contextlib.ExitStack() as undo:
        with _explained(path):
            if not path.exists():
                raise StoreUnusable(f"there is no store at {path}")
            _check_header(path)
            # SQLite makes files beside a database in WAL mode even to read it. On a read-only mount it cannot. Where no
            # WAL is, no server runs, and nothing changes.
            mode = "ro" if _leftovers(path) or os.access(path.parent, os.W_OK) else "ro&immutable=1"
            source = undo.enter_context(contextlib.closing(_connect(path, mode)))
            _check_version(source, path, MIGRATIONS)
        with _explained(target):
            if target.exists():
                raise StoreUnusable(f"{target} is there already, and is left as it is; give another name")
            part.unlink(missing_ok=True)  # of a copy that was cut off
            _make_file(part)
            undo.callback(part.unlink, missing_ok=True)
            with contextlib.closing(_connect(part, "rw")) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
                copy.execute(f"PRAGMA application_id = {BACKUP_ID}")
            part.replace(target)
            _sync_directory(target.parent)


def write_backup(path: Path, out: BinaryIO) -> None:
    """Copy a store as `back_up` does, and write the copy to `out`. Raises `StoreUnusable`."""
    path = _real(path)
    with contextlib.ExitStack() as undo:
        copy = _beside(path, "-backup")
        if not os.access(path.parent, os.W_OK):
            copy = Path(undo.enter_context(tempfile.TemporaryDirectory()), copy.name)
        undo.enter_context(_explained(copy))
        copy.unlink(missing_ok=True)  # of a backup that was cut off
        undo.callback(copy.unlink, missing_ok=True)
        back_up(path, copy)
        with copy.open("rb") as file:
            _send(file, out)


def _send(file: BinaryIO, out: BinaryIO) -> None:
    """Copy a file to the output of a command."""
    while chunk := file.read(COPY_BYTES):
        try:
            out.write(chunk)
            out.flush()
        except OSError as error:  # not one of the file that is read
            raise StoreUnusable(f"{CANNOT_WRITE}: {error.strerror}") from None


def restore(path: Path, source: BinaryIO, name: str) -> Path | None:
    """Put the backup that `source` holds in the place of a store, and give where the replaced store is kept, if any.

    `name` is what the operator calls the backup. Nothing has changed when it raises `StoreUnusable`.
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
        for suffix in ("-wal", "-shm", "-journal", ""):  # SQLite finds what belongs to the replaced store by its name
            _beside(replaced, suffix).unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                _beside(path, suffix).rename(_beside(replaced, suffix))
        new.rename(path)
        _sync_directory(path.parent)
    return replaced if was_there else None


def _receive(new: Path, source: BinaryIO, name: str) -> None:
    """Write a backup to `new`, checked and marked. A plain copy of a store is taken, too, and becomes a backup here."""
    with new.open("wb") as file:
        shutil.copyfileobj(source, file)
    header = _read_header(new)
    if header is None or header.application_id not in (STORE_ID, BACKUP_ID):
        raise StoreUnusable(f"{name} is not a backup of Ringback; `backup` makes one")
    if (size := new.stat().st_size) < header.size:
        raise StoreUnusable(f"{name} is cut off: {size} bytes, and there should be {header.size}")
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
    """Bring the schema up to date, in one step or not at all. Raises `StoreUnusable` for one from a newer version."""
    version = _check_version(db, path, migrations)
    if version < len(migrations):
        db.create_function("folded", 1, lambda name: name_keys(name).folded, deterministic=True)
        db.create_function("drawn", 1, lambda name: name_keys(name).drawn, deterministic=True)
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
        # Not in WAL mode yet, so that the mark in the header changes in the file itself together with the epoch.
        db.execute("BEGIN IMMEDIATE")
        begin_anew(db, new_epoch, now)
        db.execute(f"PRAGMA application_id = {STORE_ID}")
        db.execute("COMMIT")
    [(logs,)] = db.execute("SELECT count(*) FROM log")
    if logs != 1:
        raise StoreUnusable(_damaged(path, "it does not say which log it is"))
    [(mode,)] = db.execute("PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise StoreUnusable(f"cannot use {path}: SQLite cannot write ahead (WAL) there; give a file on a local disk")
    # Fails where nothing may be written. (Where there is no room it does not: reading goes on.)
    db.executescript("BEGIN IMMEDIATE; UPDATE log SET oldest = oldest; ROLLBACK")


def _create(path: Path, epoch: str) -> None:
    """Make a new log in one step: a file that is not whole is never seen under its name."""
    for leftover in _leftovers(path):
        raise StoreUnusable(f"{path} is gone, but {leftover.name}, which belongs to it, is not; move that away too")
    new = _beside(path, "-new")
    new.unlink(missing_ok=True)
    _make_file(new)
    with contextlib.closing(_connect(new, "rw")) as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # can only be chosen before there is a table
        db.execute(f"PRAGMA application_id = {STORE_ID}")
        migrate(db, path)
        db.execute("INSERT INTO log (epoch, oldest) VALUES (?, 1)", (epoch,))
    new.rename(path)
    _sync_directory(path.parent)


def _check_header(path: Path) -> None:
    """Refuse what is not a store before SQLite touches it, and a copy into which another store's WAL would be mixed."""
    elsewhere = "give another CHAT_STORE, or move it away to begin a new log"
    size, leftovers = path.stat().st_size, _leftovers(path)
    if size == 0:
        raise StoreUnusable(f"{path} is empty, which a store never is; put a backup in its place, or {elsewhere}")
    header = _read_header(path)
    if header is None or header.application_id not in (STORE_ID, BACKUP_ID):
        raise StoreUnusable(f"{path} is not a store of Ringback; {elsewhere}")
    if header.application_id == BACKUP_ID and leftovers:
        name = leftovers[0].name
        raise StoreUnusable(f"{path} is a backup, but {name} beside it is of the store before; remove {name}")
    if size < header.size and not leftovers:  # with a WAL, what is missing may be in there
        raise StoreUnusable(_damaged(path, f"{size} bytes, and there should be {header.size}"))


class Header(NamedTuple):
    """What the header of an SQLite database tells (https://www.sqlite.org/fileformat.html, section 1.3)."""

    size: int
    application_id: int


def _read_header(path: Path) -> Header | None:
    """Read it without SQLite; None when it is not an SQLite database."""
    with path.open("rb") as file:
        raw = file.read(100)
    if len(raw) < 100 or not raw.startswith(MAGIC):
        return None
    page_size = int.from_bytes(raw[16:18])
    return Header(size=page_size * int.from_bytes(raw[28:32]), application_id=int.from_bytes(raw[68:72]))


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # Each connection is used by one thread at a time, but not by the one that opened it.
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
    """Keep a second server away; whoever only reads, as a backup does, need not ask."""
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
    """Return the inode number, which stays while a file is open; 0 if there is no file."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _sync_directory(path: Path) -> None:
    """Make a new name in a directory outlive the power."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def control_path(path: Path) -> Path:
    """Give where operators reach the server that has a store open; a Unix socket's name cannot be long."""
    beside = _beside(_real(path), "-control")
    name = os.fsencode(beside.name)
    return beside if len(name) <= LONGEST_CONTROL else beside.with_name(f"{sha256(name).hexdigest()[:32]}-control")


def _real(path: Path) -> Path:
    """Follow links: one and what it leads to are one store, with one lock and one WAL."""
    return Path(os.path.realpath(path))


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _leftovers(path: Path) -> list[Path]:
    """Give what SQLite would take for the unfinished part of this database."""
    return [file for suffix in ("-wal", "-journal") if (file := _beside(path, suffix)).exists()]


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the system and SQLite say into a sentence for the operator."""
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
    """Say who has to have the right that is missing: in containers not whom the operator may think of."""
    who = f"this process runs as user {os.geteuid()} and group {os.getegid()}"
    return f"; {who}, who must be able to read and write {path.parent} and the files of the store in it"


def _damaged(path: Path, how: str) -> str:
    return f"{path} is damaged ({how}); put a backup in its place, or move it away to begin a new log"
