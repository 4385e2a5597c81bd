"""The file of the durable log: what is made, what is refused and in which words, what a copy is."""

import contextlib
import io
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.chat.store_clock import DAY
from server.message_log.base import StoreUnusable
from server.message_log.store_file import (
    BACKUP_ID,
    MIGRATIONS,
    StoreFile,
    back_up,
    migrate,
    open_store,
    restore,
    write_backup,
)

NOBODY = 65534
ANYBODY = os.getuid() or NOBODY  # see refusal_for_anybody
NOW = 1_800_000_000.0
ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@contextlib.contextmanager
def opened(path: Path, epoch: str = "first") -> Iterator[StoreFile]:
    file = open_store(path, epoch, NOW)
    try:
        yield file
    finally:
        file.close()


def make(path: Path, epoch: str = "first") -> None:
    open_store(path, epoch, NOW).close()


def ask(path: Path, question: str) -> object:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute(question).fetchone()[0]


def change(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def refusal(path: Path) -> str:
    """Try to open; gives the sentence."""
    with pytest.raises(StoreUnusable) as refused:
        make(path)
    return str(refused.value)


def test_a_new_store_is_made_with_its_directory_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "chat.db"
    with opened(path) as file:
        file.writer.execute("UPDATE log SET oldest = 2")  # so that there is a WAL
        modes = {name.name: name.stat().st_mode & 0o777 for name in path.parent.iterdir()}
    assert modes == dict.fromkeys(["chat.db", "chat.db-wal", "chat.db-shm", "chat.db-lock"], 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_one_that_everybody_could_read_is_closed_to_others(path: Path) -> None:
    make(path)
    path.chmod(0o644)
    make(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_as_durable_as_sqlite_can_be_and_gives_room_back(path: Path) -> None:
    with opened(path) as file:
        asked = [file.writer.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        assert asked == ["wal", 2]
        assert file.writer.execute("PRAGMA auto_vacuum").fetchone()[0] == 2


def test_a_store_keeps_its_epoch(path: Path) -> None:
    make(path, "first")
    make(path, "second")
    assert ask(path, "SELECT epoch FROM log") == "first"


def test_the_reader_cannot_write(path: Path) -> None:
    with opened(path) as file, pytest.raises(sqlite3.OperationalError, match="readonly"):
        file.reader.execute("UPDATE log SET oldest = 2")


def test_a_second_server_is_kept_away_until_the_first_has_closed(path: Path) -> None:
    with opened(path):
        assert "is in use by another server" in refusal(path)
    make(path)


def test_a_link_and_what_it_leads_to_are_one_store(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with opened(link):
        assert "is in use by another server" in refusal(path)
        back_up(link, tmp_path / "copy.db")
    assert path.exists()


def test_one_that_could_not_be_opened_is_not_kept_locked(path: Path) -> None:
    path.write_bytes(b"")
    refusal(path)
    path.unlink()
    make(path)


def test_what_is_left_of_a_beginning_that_was_cut_off_is_no_obstacle(path: Path) -> None:
    path.with_name("chat.db-new").write_bytes(b"half of it")
    make(path)
    assert not path.with_name("chat.db-new").exists()


def no_database(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1000)


def empty(path: Path) -> None:
    path.touch()


def of_something_else(path: Path) -> None:
    change(path, "CREATE TABLE recipes (title TEXT)")


def a_directory(path: Path) -> None:
    path.mkdir()


def from_the_future(path: Path) -> None:
    make(path)
    change(path, "PRAGMA user_version = 99")


def without_its_middle(path: Path) -> None:
    make(path)
    os.truncate(path, 3 * 4096)


def without_its_end(path: Path) -> None:
    make(path)
    os.truncate(path, path.stat().st_size - 1)


def without_its_end_and_with_a_wal(path: Path) -> None:
    make(path)
    os.truncate(path, 3 * 4096)
    path.with_name("chat.db-wal").write_bytes(b"nothing of use")


def cut_off_in_the_header(path: Path) -> None:
    make(path)
    os.truncate(path, 50)


def cut_off_behind_the_header(path: Path) -> None:
    make(path)
    os.truncate(path, 100)


def overwritten(path: Path) -> None:
    make(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (path.stat().st_size - 100))


def gone_but_for_its_wal(path: Path) -> None:
    path.with_name("chat.db-wal").write_bytes(b"what was said last")


def a_copy_with_the_wal_of_another(path: Path) -> None:
    a_copy(path)
    path.with_name("chat.db-wal").write_bytes(b"what was said last")


def a_copy_with_the_journal_of_another(path: Path) -> None:
    a_copy(path)
    path.with_name("chat.db-journal").write_bytes(b"what was to be undone")


def a_copy(path: Path) -> None:
    original = path.with_name("original.db")
    make(original)
    back_up(original, path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_database, "is not a store of Ringback; give another CHAT_STORE, or move it away"),
        (of_something_else, "is not a store of Ringback; give another CHAT_STORE, or move it away"),
        (empty, "is empty, and not a store"),
        (a_directory, "Is a directory"),
        (from_the_future, f"a newer version of Ringback (schema 99; this one knows {len(MIGRATIONS)})"),
        (without_its_middle, "is damaged (12288 bytes, expected "),
        (without_its_end, "is damaged"),
        (without_its_end_and_with_a_wal, "is damaged (database disk image is malformed)"),
        (cut_off_in_the_header, "is not a store of Ringback"),
        (cut_off_behind_the_header, "is damaged"),
        (overwritten, "is damaged"),
        (gone_but_for_its_wal, "is missing, but chat.db-wal, which belongs to it, exists"),
        (a_copy_with_the_wal_of_another, "is a backup, but chat.db-wal beside it belongs to the previous store"),
        (
            a_copy_with_the_journal_of_another,
            "is a backup, but chat.db-journal beside it belongs to the previous store",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_and_left_as_it_is(
    path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    said = refusal(path)
    assert words in said
    assert "chat.db" in said
    assert (path.read_bytes() if path.is_file() else None) == before


def test_where_no_file_can_be_made_it_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file" / "chat.db").endswith("Not a directory")


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can look into, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def run_elsewhere(script: str, path: Path, *files: int) -> str:
    """Run a script in a process of its own, for the `path`, with these open files; gives what it printed."""
    # urllib is imported late by pathlib, and who is nobody by then may not be allowed to read it.
    begin = "import os, signal, sys, urllib.parse\nfrom pathlib import Path\n"
    begin += "from server.message_log.store_file import open_store\n"
    command = [sys.executable, "-c", begin + script, str(path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, pass_fds=files)
    return run.stdout.strip()


def refusal_for_anybody(path: Path) -> str:
    """Try to open as a user without special rights; gives the sentence."""
    become = f"os.setuid({NOBODY})\n" if os.getuid() == 0 else ""
    said = run_elsewhere(
        f"{become}try: open_store(Path(sys.argv[1]), 'first', 0.0)\nexcept Exception as problem: print(problem)", path
    )
    problem, _, who = said.partition("; this process runs as user ")
    user = NOBODY if os.getuid() == 0 else os.getuid()
    assert who.startswith(f"{user} and group {os.getgid()}, which must be able to read and write {path.parent} ")
    return problem


@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_a_file_that_may_not_be_written_is_said(public: Path, mode: int) -> None:
    path = public / "chat.db"
    make(path)
    if os.getuid() == 0:
        for one in (public, path, path.with_name("chat.db-lock")):
            os.chown(one, NOBODY, NOBODY)
    path.with_name("chat.db-lock").chmod(mode)
    assert refusal_for_anybody(path) == f"cannot use {path}: {path}-lock: Permission denied"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a file that is somebody else's")
def test_a_file_of_somebody_else_that_may_only_be_read_is_said(public: Path) -> None:
    path = public / "chat.db"
    make(path)
    path.chmod(0o444)
    for one in (public, path.with_name("chat.db-lock")):
        os.chown(one, NOBODY, NOBODY)
    assert refusal_for_anybody(path) == f"cannot use {path}: attempt to write a readonly database"


def test_a_directory_that_may_not_be_written_is_said(public: Path) -> None:
    public.chmod(0o555)
    path = public / "chat.db"
    assert refusal_for_anybody(path) == f"cannot use {path}: {path}-lock: Permission denied"


def test_what_was_committed_is_there_after_a_crash(path: Path) -> None:
    run_elsewhere(
        "file = open_store(Path(sys.argv[1]), 'first', 0.0); file.writer.execute('UPDATE log SET oldest = 42')\n"
        "os.kill(os.getpid(), signal.SIGKILL)",
        path,
    )
    assert path.with_name("chat.db-wal").stat().st_size
    with opened(path) as file:
        assert file.reader.execute("SELECT oldest FROM log").fetchone() == (42,)


# Migrations


def test_a_store_of_an_older_version_is_brought_up_to_date_and_keeps_what_it_has(path: Path) -> None:
    make(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, path, (*MIGRATIONS, "ALTER TABLE log ADD COLUMN motto TEXT;", "UPDATE log SET motto = 'ring';"))
    assert ask(path, "SELECT epoch || motto FROM log") == "firstring"
    assert ask(path, "PRAGMA user_version") == len(MIGRATIONS) + 2


def test_names_of_an_older_version_are_compared_as_they_are_now(path: Path) -> None:
    make(path)
    path.unlink()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, path, MIGRATIONS[:1])
        db.execute(
            "INSERT INTO members VALUES ('a1', 'AIice', 'aiice', x'01', x'02', '', NULL, 1, '[]', 1, 1.0, 0.0, 0)"
        )
        migrate(db, path)
    assert ask(path, "SELECT name_folded || ' ' || name_drawn || ' ' || kicked FROM members") == "aiice Alice 0"


def test_migration_measures_ages_on_the_store_clock(path: Path) -> None:
    """Between two messages it goes on by a day at most, and never back, whatever the wall clock told."""
    times = [NOW, NOW + 60, NOW - 365 * DAY, NOW + 120, NOW + 4000, NOW + 366 * DAY, NOW + 4060, NOW + 366 * DAY + 4060]
    with old_store(path) as db:
        rows = [(seq, "b2", "Bob", "hi", None, None, at) for seq, at in enumerate(times, 1)]
        db.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        db.execute("INSERT INTO messages VALUES (9, 'a1', 'Alice', 'left', 'leave', NULL, ?)", (NOW + 4120,))
        add_member(db, "a1", changed_at=NOW + 4120, held_until=NOW + 4720)
        add_member(db, "c3", changed_at=NOW + 5 * 365 * DAY, held_until=0.0)
        migrate(db, path)
        marks = db.execute("SELECT at, wall, seq FROM marks ORDER BY seq").fetchall()
        members = db.execute("SELECT id, changed_at, name_held_until, keeps_name FROM members ORDER BY id").fetchall()
    newest = NOW + 4000 + DAY + 4060
    assert marks == [
        (NOW + 120, NOW + 120, 4),
        (NOW + 4000, NOW + 4000, 5),
        (NOW + 4000 + DAY, NOW + 366 * DAY, 7),
        (newest, NOW + 366 * DAY + 4060, 9),
    ]
    assert members == [("a1", newest, newest + 600, 0), ("c3", newest, 0.0, 0)]


def test_migration_of_a_store_without_messages_keeps_its_members(path: Path) -> None:
    with old_store(path) as db:
        db.execute("UPDATE log SET oldest = 8")
        add_member(db, "a1", changed_at=NOW, held_until=0.0)
        migrate(db, path)
        assert db.execute("SELECT at, wall, seq FROM marks").fetchall() == [(NOW, NOW, 7)]
        assert db.execute("SELECT changed_at FROM members").fetchall() == [(NOW,)]


def test_migration_of_an_empty_store_makes_no_mark(path: Path) -> None:
    with old_store(path) as db:
        migrate(db, path)
        assert db.execute("SELECT count(*) FROM marks").fetchone() == (0,)


@contextlib.contextmanager
def old_store(path: Path) -> Iterator[sqlite3.Connection]:
    """A store as it was when ages were measured by the wall clock."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, path, MIGRATIONS[:2])
        db.execute("INSERT INTO log (epoch, oldest) VALUES ('first', 1)")
        yield db


def add_member(db: sqlite3.Connection, member_id: str, *, changed_at: float, held_until: float) -> None:
    columns = "id, name, name_folded, token_hash, secret, caller, max_batch, accepts, present"
    given = (member_id, "A", "a", member_id.encode(), b"", "", 1, "[]", 0, changed_at, held_until, 0)
    marks = ", ".join("?" * len(given))
    db.execute(f"INSERT INTO members ({columns}, changed_at, name_held_until, cursor) VALUES ({marks})", given)


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    make(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db, pytest.raises(sqlite3.Error):
        migrate(db, path, (*MIGRATIONS, "DROP TABLE members;", "nonsense;"))
    assert ask(path, "PRAGMA user_version") == len(MIGRATIONS)
    assert ask(path, "SELECT count(*) FROM members") == 0


# Copies


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


def test_a_copy_has_what_a_running_server_has_stored_and_nothing_that_is_under_way(path: Path, copy: Path) -> None:
    with opened(path) as file:
        file.writer.execute("UPDATE log SET oldest = 7")
        file.writer.execute("BEGIN IMMEDIATE")
        file.writer.execute("UPDATE log SET oldest = 8")
        back_up(path, copy)
        file.writer.execute("COMMIT")
    assert ask(copy, "SELECT oldest FROM log") == 7
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_copy_is_one_file(path: Path, copy: Path) -> None:
    with opened(path):
        back_up(path, copy)
    assert sorted(name.name for name in copy.parent.glob("copy*")) == ["copy.db"]


def test_each_server_that_goes_on_from_a_copy_has_a_log_of_its_own(path: Path, copy: Path, tmp_path: Path) -> None:
    make(path, "first")
    back_up(path, copy)
    again = tmp_path / "again.db"
    again.write_bytes(copy.read_bytes())
    make(copy, "second")
    make(again, "third")
    make(again, "fourth")
    assert [ask(file, "SELECT epoch FROM log") for file in (path, copy, again)] == ["first", "second", "third"]


@pytest.mark.parametrize("version", range(2, len(MIGRATIONS)))
def test_a_copy_that_an_older_version_made_goes_on_above_its_numbers(copy: Path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as db:
        migrate(db, copy, MIGRATIONS[:version])
        db.execute("INSERT INTO log (epoch, oldest) VALUES ('first', 5)")  # all that there was is forgotten
        db.execute(f"PRAGMA application_id = {BACKUP_ID}")
    make(copy, "second")
    assert ask(copy, "SELECT epoch || ' ' || oldest FROM log") == f"second {int(NOW) * 2**20 + 1}"
    assert ask(copy, "SELECT after || ' ' || up_to FROM gaps") == f"4 {int(NOW) * 2**20}"


def test_a_copy_of_a_copy_is_one_too(path: Path, copy: Path, tmp_path: Path) -> None:
    make(path)
    back_up(path, copy)
    back_up(copy, tmp_path / "again.db")
    make(tmp_path / "again.db", "second")
    assert ask(tmp_path / "again.db", "SELECT epoch FROM log") == "second"


def test_what_is_there_already_is_not_written_over(path: Path, copy: Path) -> None:
    make(path)
    copy.write_text("my only backup")
    with pytest.raises(StoreUnusable, match="already exists and was not changed"):
        back_up(path, copy)
    assert copy.read_text() == "my only backup"
    assert not list(copy.parent.glob("*.part"))


def test_what_is_left_of_a_copy_that_was_cut_off_is_no_obstacle(path: Path, copy: Path) -> None:
    make(path)
    copy.with_name("copy.db.part").write_bytes(b"half of it")
    back_up(path, copy)
    assert sorted(name.name for name in copy.parent.glob("copy*")) == ["copy.db"]


def test_a_store_that_is_not_there_is_not_made_by_copying(path: Path, copy: Path) -> None:
    with pytest.raises(StoreUnusable, match="there is no store at"):
        back_up(path, copy)
    assert not list(path.parent.iterdir())


def test_where_a_copy_cannot_be_put_it_says_why(path: Path, tmp_path: Path) -> None:
    make(path)
    with pytest.raises(StoreUnusable, match=r"cannot use .*copy\.db: .*No such file or directory"):
        back_up(path, tmp_path / "nowhere" / "copy.db")


def test_copy_of_a_store_in_a_directory_that_cannot_be_written_is_made(public: Path, tmp_path: Path) -> None:
    """As of a volume that is mounted read-only, on which no server runs."""
    path, copy = public / "chat.db", tmp_path / "copy.db"
    make(path, "first")
    if os.getuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    public.chmod(0o555)
    become = f"os.setuid({NOBODY})\n" if os.getuid() == 0 else ""
    script = "from server.message_log.store_file import write_backup\nimport shutil, tempfile\n"
    with copy.open("wb") as out:
        run = f"{script}{become}write_backup(Path(sys.argv[1]), os.fdopen({out.fileno()}, 'wb', closefd=False))"
        assert run_elsewhere(run, path, out.fileno()) == ""
    assert ask(copy, "SELECT epoch FROM log") == "first"
    assert sorted(file.name for file in public.iterdir()) == ["chat.db", "chat.db-lock"]


def test_what_is_not_a_store_is_not_copied(path: Path, copy: Path) -> None:
    no_database(path)
    with pytest.raises(StoreUnusable, match="is not a store of Ringback"):
        back_up(path, copy)
    assert not copy.exists()


# Restoring


def backup_of(path: Path) -> bytes:
    out = io.BytesIO()
    write_backup(path, out)
    return out.getvalue()


def beside(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_restore_where_there_is_no_store_makes_one_with_an_epoch_of_its_own(path: Path, tmp_path: Path) -> None:
    make(path, "first")
    other = tmp_path / "new machine" / "chat.db"
    assert restore(other, io.BytesIO(backup_of(path)), "the backup") is None
    make(other, "second")
    assert ask(other, "SELECT epoch FROM log") == "second"
    assert other.stat().st_mode & 0o777 == 0o600
    assert beside(other) == ["chat.db", "chat.db-lock"]


def test_restore_over_a_store_keeps_the_one_that_was_there_with_its_wal(path: Path) -> None:
    make(path, "first")
    backup = backup_of(path)
    with opened(path) as file:  # as after a crash: the WAL has what is not in the file
        file.writer.execute("UPDATE log SET oldest = 42")
        killed = {name.name: name.read_bytes() for name in path.parent.glob("chat.db*")}
    for name, content in killed.items():
        path.with_name(name).write_bytes(content)
    assert restore(path, io.BytesIO(backup), "the backup") == path.with_name("chat.db-replaced")
    make(path, "second")
    assert ask(path, "SELECT epoch FROM log") == "second"
    assert ask(path.with_name("chat.db-replaced"), "SELECT epoch || ' ' || oldest FROM log") == "first 42"


def test_restore_of_a_plain_copy_of_a_store_makes_it_a_backup(path: Path) -> None:
    make(path, "first")
    restore(path, io.BytesIO(path.read_bytes()), "the copy")
    make(path, "second")
    assert ask(path, "SELECT epoch FROM log") == "second"


def test_restore_while_a_server_runs_is_refused(path: Path) -> None:
    with opened(path):
        backup = backup_of(path)
        with pytest.raises(StoreUnusable, match="is in use by another server; stop it"):
            restore(path, io.BytesIO(backup), "the backup")
    assert ask(path, "SELECT epoch FROM log") == "first"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda backup: b"", "the backup is not a backup of Ringback"),
        (lambda backup: b"Dear diary, " * 1000, "the backup is not a backup of Ringback"),
        (lambda backup: backup[:-1], r"the backup is cut off: \d+ bytes, expected"),
        (lambda backup: backup[:4096] + bytes(4096) + backup[8192:], "the backup is damaged"),
        (lambda backup: backup.replace(b"\n", b"\r\n"), "the backup is damaged"),
        (lambda backup: backup[:60] + (99).to_bytes(4) + backup[64:], "the backup was made by a newer version"),
    ],
    ids=["empty", "something else", "cut off", "damaged", "through a terminal", "newer"],
)
def test_restore_of_what_is_no_good_backup_changes_nothing(
    path: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    make(path, "first")
    given = change(backup_of(path))
    before = beside(path)
    with pytest.raises(StoreUnusable, match=words):
        restore(path, io.BytesIO(given), "the backup")
    assert beside(path) == before
    make(path, "second")
    assert ask(path, "SELECT epoch FROM log") == "first"
