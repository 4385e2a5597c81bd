"""The core through random lives of a room, against the contract as a page of bookkeeping; the clock is a number.

`Room` is the shell in small: it does what `server/chat/room.py` and `server/delivery/delivery.py` do, in the same
order, and knows each next step before the core says it. A request in flight may stay so while anything else happens.
"""

from collections import Counter
from itertools import cycle
from typing import Any

from hypothesis import HealthCheck, settings, stateful
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from msgspec import structs

from protocol.methods import MAX_PUSH_BYTES
from server.chat.members import Member, Members
from server.chat.names import normalize_name
from server.delivery.outbox import PAUSE_SECONDS, Fetch, Outbox, Post, Probe, Wait
from server.delivery.states import Reachability
from server.message_log.entry import Draft, Entry, make_entry

EVICT_AFTER = 30.0
HOUR = 3600.0
REFUSED = -32000
SCHEDULE = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
MIDDLE = 0.5  # the spread that leaves the schedule as it is
REST: dict[str, Any] = {"secret": b"", "caller": "", "callback": None, "accepts": frozenset()}

# Spellings in one line are the same name.
SAME = ("Ann ANN Ａｎｎ", "Straße STRASSE", "Åsa a\u030aSA", "Bob", "Eve", "李")
NAMES = {spelling: line for line in SAME for spelling in line.split()}
NAME, MAX_BATCH, PICK = st.sampled_from([*NAMES]), st.sampled_from([1, 2, 3, 256]), st.integers(0, 9)
# Two halves fill a POST to the byte, or are one byte too many.
SIZE = st.sampled_from([None, None, MAX_PUSH_BYTES // 2 - 2, MAX_PUSH_BYTES // 2 - 1])
# All times are quarters of a second, so that no sum is rounded.
SECONDS = st.sampled_from([0.0, 0.25, 5.0, 10.0, 14.75, 15.0, 30.0, 600.0, 600.0, 3570.0])
RETRY_AFTER = st.sampled_from([None, None, 0.0, 20.0, 100.0, float("inf")])
HOW = st.sampled_from([*["takes", "refuses", "rejects", "fails"] * 2, "hangs", "later", "later", "leaves"])
Outcome = tuple[str, int, float | None]
TAKEN = st.sampled_from([0, 1, 2, 99])
ASKED = st.lists(st.tuples(RETRY_AFTER, st.sampled_from(["waits", "calls", "recovers"])), max_size=3)
OUTCOMES = st.lists(st.tuples(HOW, TAKEN, RETRY_AFTER), min_size=1, max_size=4)


class Person:
    """One participant on paper: what it has taken since `start`, and what the contract says of its delivery."""

    member: Member

    def __init__(self, member_id: str, cursor: int) -> None:
        self.member_id, self.token = member_id, b"token of " + member_id.encode()
        self.name, self.present = "Eve", False
        self.begin_after(cursor)

    def begin_after(self, cursor: int) -> None:
        """Forget what was. `done` is the last seq that was acknowledged or passed over, `cursor` where it was seen."""
        self.start = self.done = self.cursor = self.saved_cursor = cursor
        self.taken: list[int] = []
        self.given_up: set[int] = set()  # passed over, or no longer kept
        self.ever_aside: set[int] = set()  # refused five times, in whatever registration

    def ring(self, now: float) -> None:
        self.outbox = Outbox(self.member_id, self.cursor, self.member.max_batch, EVICT_AFTER, now)
        self.flight = False
        self.held: tuple[Entry, ...] = ()  # posted, and nothing of it acknowledged yet
        self.refusals: Counter[int] = Counter()  # since it took something
        self.aside: list[int] = []  # refused five times
        self.round = 0  # up to here it is set aside in this round
        self.refused_at = now  # in this round
        self.doubted = False  # it is asked whether it lives
        self.next_try = now
        self.reached(now)

    def reached(self, now: float) -> None:
        self.contact = self.success = now
        self.failures = 0
        self.failing_for = 0.0  # the eviction clock, as far as it is counted; it stands until `counted` at least
        self.counted = now

    def take(self, entries: tuple[Entry, ...]) -> None:
        """What is not above the last that it took is a repeat, or so it takes it.

        That may be a message which it refused before it took a later one, and gets again in a new registration.
        """
        for seq in (entry.seq for entry in entries):
            if [seq] > self.taken[-1:]:
                self.taken.append(seq)
            elif seq not in self.taken:
                assert seq in self.ever_aside
                self.given_up.add(seq)

    def acknowledge(self, seq: int) -> None:
        """What was set aside is given up now, or was taken for a repeat."""
        self.given_up.update({aside for aside in self.aside if aside <= self.round} | {*self.aside} - {*self.taken})
        self.done, self.held, self.aside, self.round = seq, (), [], 0
        self.refusals.clear()

    def set_aside(self, seq: int, now: float) -> None:
        self.aside += [] if seq in self.aside else [seq]
        self.ever_aside.add(seq)
        self.round, self.held, self.refused_at = seq, (), now

    def go_back(self) -> None:
        if self.round:
            self.round, self.held = 0, ()


class Room(stateful.RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.log: list[Entry] = []
        self.oldest = 1
        self.people: list[Person] = []
        self.members, self.reachability, self.suspect = Members(), Reachability(), False
        for name, max_batch in (("Ann", 1), ("Bob", 3), ("Straße", 256)):
            self.comes(len(self.people), name, max_batch, None)

    # The shell in small, and its books

    def present(self) -> list[Person]:
        return [person for person in self.people if person.present]

    def after(self, seq: int, person: Person) -> list[Entry]:
        """What the others said after `seq`, kept or not."""
        return [entry for entry in self.log[seq:] if entry.message.sender_id != person.member_id]

    def append(self, person: Person, size: int | None = None) -> None:
        draft = Draft(sender_id=person.member_id, sender_name=person.name, text="", at=self.now)
        entry = make_entry(draft, len(self.log) + 1, "e")
        padding = 0 if size is None else size - len(entry.request)
        self.log.append(make_entry(structs.replace(draft, text="x" * padding), entry.seq, "e"))

    def holder(self, name: str) -> Person | None:
        namesakes = [person for person in self.people if NAMES[person.name] == NAMES[name]]
        holders = [other for other in namesakes if other.present or other.member.name_held_until > self.now]
        assert len(holders) <= 1, "two have the same name"
        return holders[0] if holders else None

    def ring(self, person: Person) -> None:
        person.ring(self.now)
        self.reachability.reached(person.member_id)
        self.suspect = False

    def leave(self, person: Person, name_held_until: float = 0.0) -> None:
        self.append(person)
        person.present = False
        person.member = structs.replace(
            person.member, present=False, changed_at=self.now, name_held_until=name_held_until
        )
        self.members.put(person.member)
        self.cut(person)

    def cut(self, person: Person) -> None:
        person.cursor = person.outbox.cursor
        self.reachability.left(person.member_id)
        self.suspect_if_all_fail()

    def call(self, person: Person, ping: bool) -> None:
        person.contact = self.now
        person.outbox.record_activity(self.now)
        if ping:
            person.next_try = self.now
            person.outbox.retry_now(self.now)

    def suspect_if_all_fail(self) -> None:
        failing = [person.failures > 0 for person in self.present()]
        self.suspect |= len(failing) >= 3 and all(failing)

    def look(self, person: Person) -> Wait | None:
        """Have a delivery take its next step, which must be the one of the contract; None when it rings."""
        page_after = -1
        while isinstance(step := person.outbox.step(len(self.log), self.now), Fetch):
            assert step.after > page_after, "it reads on and on"
            page_after, begin = step.after, max(step.after, self.oldest - 1)
            page = min(step.limit, 4 * person.member.max_batch)  # short ones, so that there are many
            person.outbox.loaded(self.log[begin : begin + page], len(self.log))
        person.flight = not isinstance(step, Wait)
        if self.now < person.next_try:
            assert step == Wait(person.next_try, idle=False)
        elif person.doubted:
            assert step == Probe()
        elif person.held:
            assert step == Post(person.held), "a retry is the same again"
        else:
            if person.round < len(self.log) and self.now - person.refused_at >= PAUSE_SECONDS:
                person.go_back()
            person.given_up.update(range(person.done + 1, self.oldest))
            if owed := tuple(
                entry for entry in self.after(max(person.done, person.round), person) if entry.seq >= self.oldest
            ):
                assert isinstance(step, Post)
                assert step.entries == owed[: len(step.entries)]
                assert 1 <= len(step.entries) <= person.member.max_batch
                assert len(b"[" + b",".join(entry.request for entry in step.entries) + b"]") <= MAX_PUSH_BYTES
                person.held = step.entries
            else:
                person.round = person.round and len(self.log)  # what it said itself is passed over
                probe_at = person.contact + 15
                assert step == (Probe() if person.failures or self.now >= probe_at else Wait(probe_at, idle=True))
        return step if isinstance(step, Wait) else None

    def go_on(self, person: Person, how: str, taken: int = 0, retry_after: float | None = None) -> Wait | None:
        """Ring if it is time, and have what is in flight end like that; else say how long it is not time."""
        if not person.present or how == "later":
            return None
        if how == "leaves":
            self.go(person)
            return None
        if not person.flight and (wait := self.look(person)):
            return wait
        taken = 0 if person.doubted else min(taken, len(person.held))
        if how == "fails":
            person.take(person.held[:taken])
            self.fail(person, retry_after)
        elif how == "rejects":
            self.reject(person, too_large=taken == 1)
        elif how != "hangs":
            refuses = how == "refuses" and taken < len(person.held)
            self.answer(person, taken if refuses else taken or len(person.held), REFUSED if refuses else None)
        return None

    def go(self, person: Person) -> None:
        if person.flight:  # by 410, else by Unregister
            person.outbox.left()
        self.leave(person)

    def exchange(self, person: Person, how: str, taken: int = 0, retry_after: float | None = None) -> None:
        """Let time pass until it is rung."""
        while wait := self.go_on(person, how, taken, retry_after):
            self.now = wait.until

    def answer(self, person: Person, taken: int, refusal: int | None) -> None:
        """Answer what is in flight: the first `taken` were taken, the next one refused, if `refusal` is given."""
        entries, person.flight, self.suspect = person.held, False, False
        person.reached(self.now)
        self.reachability.reached(person.member_id)
        if not entries or person.doubted:
            assert person.outbox.probed(self.now) is (entries[0] if person.doubted else None)
            if person.doubted:
                person.doubted = False
                person.set_aside(entries[0].seq, self.now)
            return
        person.take(entries[:taken])
        passed = person.outbox.responded(taken, refusal, self.now, MIDDLE)
        if taken:
            person.acknowledge(entries[taken - 1].seq)
        if refusal is None:
            return
        refused = entries[taken]
        if refused.seq in person.aside:
            assert passed is None
            person.set_aside(refused.seq, self.now)
            return
        person.refusals[refused.seq] += 1
        if (tries := person.refusals[refused.seq]) < 5 or len(person.aside) == 8:
            assert passed is None
            person.go_back()
            person.next_try = self.now + SCHEDULE[min(tries, len(SCHEDULE)) - 1]
            self.look(person)
        else:
            assert passed is refused
            person.set_aside(refused.seq, self.now)

    def reject(self, person: Person, *, too_large: bool) -> None:
        """Answer what is in flight with a status that refuses all of it."""
        if not person.held or person.doubted:
            self.fail(person, None)
            return
        if len(person.held) > 1:
            assert person.outbox.narrow(self.now, too_large=too_large)
            person.flight, person.held = False, person.held[: len(person.held) // 2]
            if too_large:
                person.reached(self.now)
                self.reachability.reached(person.member_id)
                self.suspect = False
            return
        assert not person.outbox.narrow(self.now, too_large=too_large)
        seq = person.held[0].seq
        if too_large:
            self.answer(person, 0, 413)
        elif seq in person.aside:
            assert not person.outbox.refused(self.now, MIDDLE)
            person.flight = False
            person.set_aside(seq, self.now)
        else:
            person.refusals[seq] += 1
            self.fail(person, None, refuses=True)

    def fail(self, person: Person, retry_after: float | None, *, refuses: bool = False) -> None:
        if not person.failures:
            person.counted = self.now
        person.failing_for += max(0.0, self.now - person.counted)
        person.counted = max(person.counted, self.now)
        person.failures, person.flight = person.failures + 1, False
        self.suspect_if_all_fail()
        self.reachability.failed(person.member_id)
        if refuses:
            seq = person.held[0].seq
            overdue = person.outbox.refused(self.now, MIDDLE)
            person.doubted = not person.aside and person.refusals[seq] >= 5
        else:
            seq = 0
            overdue = person.outbox.failed(self.now, MIDDLE, retry_after)
            person.doubted = False
        if refuses and not person.aside:
            assert not overdue, "it is asked first whether it lives"
        else:
            # Who asked for time when its own was up, and was spared with the whole network, may go before that or not.
            assert overdue is (person.failing_for >= EVICT_AFTER) or (not overdue and person.counted > self.now)
        person.go_back()
        assert person.outbox.is_unreachable is (person.failures >= 3)
        if overdue and not self.suspect:
            person.outbox.left()
            self.leave(person, name_held_until=self.now + 600)
            return
        if retry_after is None:
            retry = self.now + SCHEDULE[min(person.failures, len(SCHEDULE)) - 1]
            deadline = person.counted + EVICT_AFTER - person.failing_for
            person.next_try = min(retry, deadline) if deadline > self.now else retry
        else:
            person.next_try = self.now + min(max(retry_after, SCHEDULE[0]), HOUR)
            person.counted = max(person.counted, min(person.next_try, person.success + HOUR))
        if person.doubted:
            person.next_try = self.now
        else:
            self.look(person)

    def missing(self, person: Person, up_to: int) -> set[int]:
        """What the others said, and it has not got.

        A message that it refused five times, before it took a later one, is a repeat to it when it comes again. It has
        to come again, though, before the cursor passes it.
        """
        owed = {entry.seq for entry in self.after(person.start, person) if entry.seq <= up_to}
        repeats = {seq for seq in person.ever_aside if seq > person.outbox.cursor and [seq] < person.taken[-1:]}
        return owed - person.given_up - {*person.aside} - repeats - {*person.taken}

    # What may happen

    @rule(pick=PICK, name=st.none() | NAME, max_batch=MAX_BATCH, after=st.none() | st.integers(0, 40))
    def comes(self, pick: int, name: str | None, max_batch: int, after: int | None) -> None:
        """Somebody new, or one with its token, be it away or not."""
        is_new = pick >= len(self.people)
        person = Person(f"m{len(self.log)}", len(self.log) + 1) if is_new else self.people[pick]
        name = name or person.name
        if self.holder(name) not in (None, person):
            return
        person.name = name
        if person.present:
            self.cut(person)
        else:
            self.append(person)
        if after is not None:
            person.begin_after(min(after, len(self.log)))
        person.present = True
        who: dict[str, Any] = {"id": person.member_id, "token_hash": person.token, "name": normalize_name(name)}
        person.member = Member(max_batch=max_batch, present=True, changed_at=self.now, **who, **REST)
        self.members.put(person.member)
        self.people += [person] if is_new else []
        self.ring(person)

    @precondition(lambda self: self.present())
    @rule(pick=PICK, texts=st.lists(SIZE, max_size=6), ping=st.booleans(), seconds=SECONDS, outcomes=OUTCOMES)
    def life_goes_on(
        self, pick: int, texts: list[int | None], ping: bool, seconds: float, outcomes: list[Outcome]
    ) -> None:
        """After so many seconds somebody calls, and then everybody is rung who is to be."""
        person = self.present()[pick % len(self.present())]
        self.now += seconds
        self.call(person, ping)
        for size in texts:
            self.append(person, size)
        for person, outcome in zip(self.present(), cycle(outcomes), strict=False):
            self.go_on(person, *outcome)

    @precondition(lambda self: self.present())
    @rule(pick=PICK, asked=ASKED, how=st.sampled_from(["fails", "refuses", "rejects"]), taken=TAKEN)
    def goes_wrong_for_long(self, pick: int, asked: list[tuple[float | None, str]], how: str, taken: int) -> None:
        """It asks for time again and again, and uses it or not; then it is dead, or refuses whatever comes."""
        person = self.present()[pick % len(self.present())]
        for other in self.present():
            self.append(other)
        for retry_after, then in asked:
            self.exchange(person, "fails", taken, retry_after)
            if then != "waits":
                self.call(person, ping=True)
            if then == "recovers":
                self.exchange(person, "takes", taken)
        for _ in range(12):
            if person.present and not self.suspect:
                self.exchange(person, how, taken)

    @precondition(lambda self: self.present())
    @rule(pick=PICK)
    def all_fail_but_one_and_that_leaves(self, pick: int) -> None:
        spared = self.present()[pick % len(self.present())]
        self.now += 15
        for person in self.present():
            self.go_on(person, "later" if person is spared else "fails")
        self.go_on(spared, "leaves")

    @rule(kept=st.sampled_from([0, 1, 3, 8]))
    def what_is_old_is_dropped(self, kept: int) -> None:
        self.oldest = max(self.oldest, len(self.log) + 1 - kept)
        long_away = [member for member in self.members if not member.present and member.changed_at < self.now - 1000]
        assert self.members.away_since_before(self.now - 1000) == long_away
        for member in long_away:
            self.members.forget(member.id)
            assert self.members.owner_of(member.token_hash) is None
        self.people = [person for person in self.people if person.member not in long_away]

    @rule(killed=st.booleans())
    def the_server_starts_anew(self, killed: bool) -> None:
        self.members, self.reachability, self.suspect = Members(reversed([*self.members])), Reachability(), False
        for person in self.people:
            if killed:
                person.cursor, person.done = person.saved_cursor, min(person.done, person.saved_cursor)
            person.saved_cursor = person.cursor
            if person.present:
                self.ring(person)

    def teardown(self) -> None:
        for person in self.present():
            for _ in self.log:
                if self.missing(person, len(self.log)):
                    self.exchange(person, "takes")
            assert not self.missing(person, len(self.log))

    @invariant()
    def all_is_in_order(self) -> None:
        for person in self.people:
            if person.present:
                assert person.cursor <= person.outbox.cursor, "it went back"
                person.cursor = person.outbox.cursor
            assert person.done <= person.cursor <= len(self.log)
            passed_by = {entry.seq for entry in self.after(person.done, person) if entry.seq <= person.cursor}
            assert passed_by <= person.given_up
            assert not self.missing(person, max([person.cursor, *person.taken]))
            assert self.members.get(person.member_id) is self.members.owner_of(person.token) is person.member
        assert [*self.members.present()] == sorted((person.member for person in self.present()), key=lambda m: m.id)
        for name in NAMES:
            holder = self.holder(name)
            assert self.members.other_called(name, None, self.now) is (holder and holder.member)
        assert self.reachability.suspect_own_network is self.suspect


def test_whatever_happens_everybody_gets_what_it_is_owed() -> None:
    # One mistake at a time, or to make the examples small takes minutes; and none because the machine was busy.
    calm = settings(report_multiple_bugs=False, suppress_health_check=[HealthCheck.too_slow])
    stateful.run_state_machine_as_test(Room, settings=settings(calm, max_examples=300, stateful_step_count=25))
