"""Who is found by id, token and name."""

from ipaddress import ip_address
from itertools import permutations

import msgspec
import pytest

from server.chat.members import NAME_HELD_SECONDS, SILENT_SECONDS, Leaving, Member, Members, held_until
from server.net.addresses import network_of

NOW = 1_800_000_000.0


def make_member(
    member_id: str, name: str, *, present: bool = True, changed_at: float = NOW, held_until: float = 0.0
) -> Member:
    return Member(
        id=member_id,
        name=name,
        token_hash=b"token of " + member_id.encode(),
        secret=bytes(32),
        caller="127.0.0.1",
        callback=None,
        max_batch=1,
        accepts=frozenset(),
        present=present,
        changed_at=changed_at,
        name_held_until=held_until,
    )


ALICE = make_member("a1", "Alice")
BOB = make_member("b2", "Bob")
GONE = make_member("a1", "Alice", present=False)
EVICTED = make_member("a1", "Alice", present=False, held_until=NOW + NAME_HELD_SECONDS)


def test_names_are_held_and_the_silent_waited_for_ten_minutes() -> None:
    assert (NAME_HELD_SECONDS, SILENT_SECONDS) == (600, 600)


def test_a_member_is_found_by_id_and_token_and_name() -> None:
    members = Members([ALICE, BOB])
    assert members.get("a1") is ALICE
    assert members.owner_of(ALICE.token_hash) is ALICE
    assert members.other_called("aLICE", None, NOW) is ALICE


def test_nobody_is_found_by_what_nobody_has() -> None:
    members = Members([ALICE])
    assert members.get("b2") is None
    assert members.owner_of(b"") is None
    assert members.other_called("Bob", None, NOW) is None


def test_ids_are_told_apart_by_case() -> None:
    assert Members([ALICE]).get("A1") is None


def test_one_who_left_keeps_id_and_token_but_not_the_name() -> None:
    members = Members([ALICE])
    members.put(GONE)
    assert members.get("a1") is GONE
    assert members.owner_of(ALICE.token_hash) is GONE
    assert members.other_called("Alice", None, NOW) is None
    assert members.present_count == 0


def test_the_name_of_an_evicted_one_is_held_for_a_while() -> None:
    members = Members([ALICE])
    members.put(EVICTED)
    assert members.other_called("alice", None, NOW + NAME_HELD_SECONDS - 0.001) is EVICTED
    assert members.other_called("alice", None, NOW + NAME_HELD_SECONDS) is None


MONTH = 2_592_000.0


@pytest.mark.parametrize(
    ("leaving", "without", "with_keep_name"),
    [
        (Leaving.UNREGISTERED, 0.0, 0.0),
        (Leaving.UNREGISTERED_KEEPING_NAME, NOW + MONTH, NOW + MONTH),
        (Leaving.GONE, 0.0, NOW + MONTH),
        (Leaving.SILENT, 0.0, NOW + MONTH),
        (Leaving.EVICTED, NOW + NAME_HELD_SECONDS, NOW + MONTH),
        (Leaving.KICKED, 0.0, 0.0),
    ],
)
def test_held_until_depends_on_how_a_member_leaves(leaving: Leaving, without: float, with_keep_name: float) -> None:
    keeping = msgspec.structs.replace(ALICE, keeps_name=True)
    assert held_until(ALICE, leaving, NOW, MONTH) == without
    assert held_until(keeping, leaving, NOW, MONTH) == with_keep_name


def test_held_until_of_evicted_member_is_ten_minutes_where_names_are_not_kept() -> None:
    keeping = msgspec.structs.replace(ALICE, keeps_name=True)
    assert held_until(keeping, Leaving.EVICTED, NOW, 0.0) == NOW + NAME_HELD_SECONDS
    assert held_until(keeping, Leaving.SILENT, NOW, 0.0) == 0.0


def test_of_two_that_have_a_name_in_different_ways_the_present_one_is_found() -> None:
    held = make_member("l2", "Lan", present=False, held_until=NOW + NAME_HELD_SECONDS)
    present = make_member("i1", "Ian")  # "lan" looks like it
    assert Members([held, present]).other_called("lan", None, NOW) is present


def test_a_name_that_was_given_up_can_be_anothers() -> None:
    other = make_member("c3", "Alice")
    members = Members([GONE])
    members.put(other)
    assert members.other_called("Alice", None, NOW) is other


def test_one_who_leaves_does_not_take_the_name_from_whom_has_it_now() -> None:
    other = make_member("c3", "Alice")
    members = Members([ALICE])
    members.put(other)
    members.put(GONE)
    assert members.other_called("Alice", None, NOW) is other


LATER = NOW + NAME_HELD_SECONDS + 1
PRESENT_NAMESAKE = make_member("c3", "ALICE", changed_at=LATER)
EVICTED_NAMESAKE = make_member("d4", "alice", present=False, held_until=LATER + NAME_HELD_SECONDS)


@pytest.mark.parametrize("order", list(permutations([EVICTED, BOB, PRESENT_NAMESAKE])))
def test_a_hold_that_is_over_hides_nobody_in_whatever_order_members_come_back(order: tuple[Member, ...]) -> None:
    assert Members(order).other_called("Alice", None, LATER) is PRESENT_NAMESAKE


@pytest.mark.parametrize("order", list(permutations([EVICTED, BOB, EVICTED_NAMESAKE])))
def test_the_longest_hold_counts_in_whatever_order_members_come_back(order: tuple[Member, ...]) -> None:
    assert Members(order).other_called("Alice", None, LATER) is EVICTED_NAMESAKE


def test_a_rename_frees_the_old_name() -> None:
    members = Members([ALICE])
    members.put(msgspec.structs.replace(ALICE, name="Alicia"))
    assert members.other_called("Alice", None, NOW) is None
    assert members.other_called("Alicia", None, NOW) is members.get("a1")
    assert members.present_count == 1


def test_a_new_token_replaces_the_old_one() -> None:
    members = Members([ALICE])
    members.put(msgspec.structs.replace(ALICE, token_hash=b"new"))
    assert members.owner_of(ALICE.token_hash) is None
    assert members.owner_of(b"new") is members.get("a1")


def test_the_present_are_given_by_id() -> None:
    members = Members([make_member(member_id, member_id) for member_id in ("b", "a", "C", "a-1")])
    members.put(make_member("b", "b", present=False))
    assert [member.id for member in members.present()] == ["C", "a", "a-1"]
    assert members.present_count == 3


@pytest.mark.parametrize(("after", "rest"), [("", "abd"), ("a", "bd"), ("c", "d"), ("d", ""), ("z", "")])
def test_a_page_begins_after_an_id_whether_or_not_it_is_here(after: str, rest: str) -> None:
    members = Members([make_member(member_id, member_id) for member_id in "dab"])
    assert "".join(member.id for member in members.present(after)) == rest


def test_one_who_is_forgotten_is_not_found_any_more() -> None:
    members = Members([ALICE, BOB])
    members.forget("a1")
    assert members.get("a1") is None
    assert members.owner_of(ALICE.token_hash) is None
    assert members.other_called("Alice", None, NOW) is None
    assert list(members) == [BOB]
    assert list(members.present()) == [BOB]


def test_to_forget_a_stranger_changes_nothing() -> None:
    members = Members([BOB])
    members.forget("a1")
    assert list(members) == [BOB]


def test_only_the_long_away_are_listed_as_such() -> None:
    long_away = make_member("c3", "Carol", present=False, changed_at=NOW - 10)
    members = Members(
        [make_member("a1", "Alice", changed_at=NOW - 99), long_away, make_member("b2", "B", present=False)]
    )
    assert members.away_since_before(NOW - 10) == []
    assert members.away_since_before(NOW - 9.9) == [long_away]


def test_members_tell_how_many_they_are() -> None:
    assert repr(Members([GONE, BOB])) == "<Members present=1 known=2>"


def test_those_from_a_network_are_counted_the_present_and_the_away() -> None:
    members = Members([ALICE, BOB])
    network = network_of(ip_address(ALICE.caller))
    assert (members.present_from(network), members.known_from(network)) == (2, 2)
    members.put(msgspec.structs.replace(ALICE, present=False))
    assert (members.present_from(network), members.known_from(network)) == (1, 2)
    assert [members.is_present_from(network, member.id) for member in (ALICE, BOB)] == [False, True]
    members.put(msgspec.structs.replace(BOB, caller="2001:db8::7"))
    assert (members.present_from(network), members.present_from("2001:db8::/64")) == (0, 1)
    members.forget(ALICE.id)
    assert members.known_from(network) == 0
    assert not members.is_present_from(network, BOB.id)
