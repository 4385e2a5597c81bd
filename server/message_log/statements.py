"""SQL of the durable log. Each function runs within a transaction of the caller.

Functions that write check first: a function that raises a `LogError` has written nothing.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec
from msgspec import UNSET

from server.chat.members import Member
from server.chat.names import name_keys
from server.chat.store_clock import DAY, Mark
from server.message_log.base import Appended, Conflict, LogError, MessageIdReused, SenderAway
from server.message_log.entry import Draft, Entry, make_entry
from server.message_log.numbering import Gap, gap_at_restore

T = TypeVar("T")

LARGEST_PORTION: Final = 64  # rows in a statement
FORGOTTEN_AT_ONCE: Final = 1000  # messages dropped in a transaction; new messages wait for one such transaction at most

ENTRY_COLUMNS: Final = "seq, sender_id, sender_name, text, event, client_msg_id, at"
MEMBER_COLUMNS: Final = (
    "id", "name", "token_hash", "secret", "caller", "callback", "max_batch", "accepts", "present", "changed_at",
    "name_held_until", "kicked", "keeps_name", "cursor",
)  # fmt: skip
STORED_COLUMNS: Final = (*MEMBER_COLUMNS, "name_folded", "name_drawn")

# The highest `seq` is not always in `messages`: its entry may have been dropped, or a gap may follow the last entry.
NEWEST: Final = (
    "max(coalesce((SELECT max(seq) FROM messages), 0), (SELECT oldest - 1 FROM log),"
    " coalesce((SELECT max(up_to) FROM gaps), 0))"
)
INSERT_ENTRIES: Final = f"INSERT INTO messages ({ENTRY_COLUMNS}) VALUES "
SELECT_ENTRY: Final = f"SELECT {ENTRY_COLUMNS} FROM messages"
OTHER_CALLED: Final = (
    "SELECT present, name_held_until FROM members"
    " WHERE (name_folded = ? OR name_drawn = ?) AND id <> ? AND (present OR name_held_until > ?)"
    " ORDER BY present DESC, name_held_until DESC LIMIT 1"
)
SELECT_MEMBER: Final = f"SELECT {', '.join(MEMBER_COLUMNS)} FROM members"
OLD_MARKS: Final = "WHERE at < ?"
PUT_MEMBER: Final = (
    f"INSERT INTO members ({', '.join(STORED_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in STORED_COLUMNS)})"
    f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in STORED_COLUMNS[1:])}"
)


class Extent(NamedTuple):
    """The epoch of a log, its newest and oldest `seq`, and its gaps."""

    epoch: str
    newest: int
    oldest: int
    gaps: Sequence[Gap]


class Portion(NamedTuple):
    """The result of `forget_messages`: oldest kept `seq`, number of dropped entries, and whether old entries remain."""

    oldest: int
    dropped: int
    more: bool


def read_extent(db: sqlite3.Connection) -> Extent:
    [epoch, oldest] = db.execute("SELECT epoch, oldest FROM log").fetchone()
    gaps = [Gap(*row) for row in db.execute("SELECT after, up_to FROM gaps ORDER BY after, up_to")]
    return Extent(epoch, _newest(db), oldest, gaps)


def begin_anew(db: sqlite3.Connection, epoch: str, now: float) -> None:
    """Turn a restored backup into a new log: set `epoch`, and skip all numbers assigned after the backup was made."""
    gap = gap_at_restore(_newest(db), now)
    db.execute("INSERT INTO gaps (after, up_to) VALUES (?, ?)", gap)
    db.execute("UPDATE log SET epoch = ?", (epoch,))
    db.execute("UPDATE log SET oldest = ? WHERE NOT EXISTS (SELECT 1 FROM messages)", (gap.up_to + 1,))


def announce(db: sqlite3.Connection, notice: Draft, member: Member, cursor: int | None, epoch: str) -> Appended:
    """Store a notice together with the member that it is about; see `MessageLog.append`."""
    seq = _newest(db) + 1
    _store_member(db, member, cursor, seq)
    entry = make_entry(notice, seq, epoch)
    _insert(db, [entry])
    return Appended(entry, repeated=False)


def say(db: sqlite3.Connection, drafts: Sequence[Draft], epoch: str) -> list[Appended | LogError]:
    """Store messages of members. Return for each the stored entry or the error; see `MessageLog.append`.

    The number of statements stays small for any number of messages: at each statement, this thread may have to wait
    for the loop's thread to release the GIL.
    """
    seq, away, known = _newest(db) + 1, _away_among(db, drafts), _find(db, drafts, epoch)
    outcomes: list[Appended | LogError] = []
    entries: list[Entry] = []
    for draft in drafts:
        earlier = known.get((draft.sender_id, draft.client_msg_id))
        if earlier is not None and earlier.message.text != draft.text:
            outcomes.append(MessageIdReused(draft, earlier.seq))
        elif earlier is not None:
            outcomes.append(Appended(earlier, repeated=True))
        elif draft.sender_id in away:
            outcomes.append(SenderAway(f"{draft.sender_id} is away"))
        else:
            entries.append(make_entry(draft, seq + len(entries), epoch))
            outcomes.append(Appended(entries[-1], repeated=False))
            if draft.client_msg_id is not None:
                known[draft.sender_id, draft.client_msg_id] = entries[-1]
    _insert(db, entries)
    return outcomes


def put_member(db: sqlite3.Connection, member: Member, cursor: int | None) -> None:
    """Store a member. Without `cursor`, a new member's cursor is the newest `seq`."""
    _store_member(db, member, cursor, _newest(db))


def read_members(db: sqlite3.Connection) -> list[tuple[Member, int]]:
    return [_member_of(row) for row in db.execute(SELECT_MEMBER)]


def save_cursors(db: sqlite3.Connection, cursors: Mapping[str, int]) -> None:
    """Store cursors by member id; ignore unknown ids."""
    db.executemany("UPDATE members SET cursor = ? WHERE id = ?", [(cursor, key) for key, cursor in cursors.items()])


def read_after(db: sqlite3.Connection, seq: int, newest: int, limit: int, epoch: str) -> list[Entry]:
    """Return the oldest `limit` entries above `seq`, up to and including `newest`."""
    where = f"{SELECT_ENTRY} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
    return _entries(db.execute(where, (seq, newest, limit)), epoch)


def read_before(db: sqlite3.Connection, seq: int, limit: int, epoch: str) -> list[Entry]:
    """Return the newest `limit` entries below `seq`, oldest first."""
    where = f"{SELECT_ENTRY} WHERE seq < ? ORDER BY seq DESC LIMIT ?"
    return _entries(db.execute(where, (seq, limit)), epoch)[::-1]


def count_own(db: sqlite3.Connection, after: Mapping[str, int], newest: int) -> dict[str, int]:
    """Return for each sender the number of its own entries above a `seq`, up to and including `newest`."""
    count = "SELECT count(*) FROM messages WHERE sender_id = ? AND seq > ? AND seq <= ?"
    return {key: db.execute(count, (key, seq, newest)).fetchone()[0] for key, seq in after.items()}


def mark(db: sqlite3.Connection, at: float, wall: float) -> None:
    """Store a mark with the newest `seq`."""
    db.execute("INSERT INTO marks (at, wall, seq) VALUES (?, ?, ?)", (at, wall, _newest(db)))


def read_recent_marks(db: sqlite3.Connection) -> list[Mark]:
    """Return the newest mark and those of the day before it, oldest first."""
    recent = "SELECT at, wall, seq FROM marks WHERE at >= (SELECT max(at) FROM marks) - ? ORDER BY at, rowid"
    return [Mark(*row) for row in db.execute(recent, (DAY,))]


def forget_messages(db: sqlite3.Connection, at: float) -> Portion:
    """Drop up to `FORGOTTEN_AT_ONCE` messages up to the newest mark before `at`; with the last of them, older marks."""
    [(oldest,)] = db.execute("SELECT oldest FROM log")
    [(newest_old,)] = db.execute(f"SELECT max(seq) FROM marks {OLD_MARKS}", (at,))
    old = "SELECT seq FROM messages WHERE seq <= ? ORDER BY seq LIMIT ?"
    seqs = [seq for (seq,) in db.execute(old, (newest_old, FORGOTTEN_AT_ONCE))]  # empty if `newest_old` is NULL
    if seqs:
        end = _newest(db) + 1
        db.execute("DELETE FROM messages WHERE seq <= ?", (seqs[-1],))
        [(oldest,)] = db.execute("SELECT coalesce(min(seq), ?) FROM messages", (end,))
        db.execute("UPDATE log SET oldest = ?", (oldest,))
        _give_back_room(db)
    if len(seqs) < FORGOTTEN_AT_ONCE:
        db.execute(f"DELETE FROM marks WHERE at < (SELECT max(at) FROM marks {OLD_MARKS})", (at,))
    return Portion(oldest, len(seqs), more=len(seqs) == FORGOTTEN_AT_ONCE)


def forget_members(db: sqlite3.Connection, at: float) -> Sequence[str]:
    """Drop the members that have been away since before `at`. Return their ids."""
    return [
        key for (key,) in db.execute("DELETE FROM members WHERE NOT present AND changed_at < ? RETURNING id", (at,))
    ]


def _give_back_room(db: sqlite3.Connection) -> None:
    [(pages,)] = db.execute("PRAGMA freelist_count")
    for _ in range(pages):
        db.execute("PRAGMA incremental_vacuum")  # frees a page per step, and the `sqlite3` module runs only one step


def _newest(db: sqlite3.Connection) -> int:
    return int(db.execute(f"SELECT {NEWEST}").fetchone()[0])


def _find(db: sqlite3.Connection, drafts: Sequence[Draft], epoch: str) -> dict[tuple[str, str | None], Entry]:
    """Return the stored entries with the drafts' `client_msg_id` values, by `(sender_id, client_msg_id)`."""
    keys = [(draft.sender_id, draft.client_msg_id) for draft in drafts if draft.client_msg_id is not None]
    found: dict[tuple[str, str | None], Entry] = {}
    for some in _portions(keys):
        # CROSS JOIN makes SQLite take the given rows first and look up each in the index on both columns. With a plain
        # JOIN, the planner would scan all messages.
        asked = f"(VALUES {', '.join(['(?, ?)'] * len(some))}) AS asked"
        same = "sender_id = asked.column1 AND client_msg_id = asked.column2"
        rows = db.execute(f"SELECT {ENTRY_COLUMNS} FROM {asked} CROSS JOIN messages ON {same}", _flat(some))
        found |= {(entry.sender_id, cast("str", entry.message.client_msg_id)): entry for entry in _entries(rows, epoch)}
    return found


def _away_among(db: sqlite3.Connection, drafts: Sequence[Draft]) -> set[str]:
    """Return the ids of the senders that are away."""
    senders = list({draft.sender_id for draft in drafts})
    away: set[str] = set()
    for some in _portions(senders):
        where = f"SELECT id FROM members WHERE NOT present AND id IN ({', '.join('?' * len(some))})"
        away.update(key for (key,) in db.execute(where, some))
    return away


def _insert(db: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    for some in _portions(entries):
        rows = f"{INSERT_ENTRIES}{', '.join(['(?, ?, ?, ?, ?, ?, ?)'] * len(some))}"
        db.execute(rows, _flat(_row_of(entry) for entry in some))


def _row_of(entry: Entry) -> tuple[Any, ...]:
    message = entry.message
    key = None if message.client_msg_id is UNSET else message.client_msg_id
    return (entry.seq, message.sender_id, message.sender_name, message.text, message.event, key, entry.at)


def _portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut into portions of powers of two: each statement then has few texts, and `sqlite3` prepares each only once."""
    begin, size = 0, LARGEST_PORTION
    while begin < len(items):
        while size > len(items) - begin:
            size //= 2
        yield items[begin : begin + size]
        begin += size


def _flat(rows: Iterable[Iterable[Any]]) -> list[Any]:
    return [value for row in rows for value in row]


def _store_member(db: sqlite3.Connection, member: Member, cursor: int | None, begin: int) -> None:
    """Store a member. Without `cursor`, a known member keeps its cursor, and that of a new member is `begin`."""
    known = db.execute("SELECT token_hash, cursor FROM members WHERE id = ?", (member.id,)).fetchone()
    if known is not None and known[0] != member.token_hash:
        raise Conflict("id")
    keys = name_keys(member.name)
    if member.present:
        holder = db.execute(OTHER_CALLED, (*keys, member.id, member.changed_at)).fetchone()
        if holder is not None:
            raise Conflict("name", None if holder[0] else holder[1])
    if cursor is None:
        cursor = begin if known is None else known[1]
    accepts = msgspec.json.encode(sorted(member.accepts)).decode()
    names = {"name_folded": keys.case_key, "name_drawn": keys.confusable_key}
    db.execute(PUT_MEMBER, {**msgspec.structs.asdict(member), **names, "accepts": accepts, "cursor": cursor})


def _entries(rows: Iterable[Sequence[Any]], epoch: str) -> list[Entry]:
    return [
        make_entry(
            Draft(sender_id=sender_id, sender_name=name, text=text, at=at, event=event, client_msg_id=key), seq, epoch
        )
        for seq, sender_id, name, text, event, key, at in rows
    ]


def _member_of(row: Sequence[Any]) -> tuple[Member, int]:
    columns = dict(zip(MEMBER_COLUMNS, row, strict=True))
    cursor = columns.pop("cursor")
    columns["accepts"] = frozenset(msgspec.json.decode(columns["accepts"], type=list[str]))
    columns |= {flag: bool(columns[flag]) for flag in ("present", "kicked", "keeps_name")}
    return Member(**columns), cursor
