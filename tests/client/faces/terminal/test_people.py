from msgspec import structs

from client.faces.terminal.people import People
from protocol.messages import MemberName
from tests.client.fake_server import message

ME = "me-1"


def people(*names: str) -> People:
    made = People()
    made.note([MemberName(f"{name.lower()}-1", name) for name in names], ME, are_all=True)
    return made


def test_who_spoke_last_comes_first_and_then_the_others_by_name() -> None:
    here = people("bea", "Cid", "Abe", "Dan")
    for name in ("Cid", "Dan", "Cid"):
        here.hear(message(1, sender=name), ME)
    assert here.names() == ["Cid", "Dan", "Abe", "bea"]


def test_notices_tell_who_comes_goes_and_is_called_otherwise() -> None:
    here = people("Abe")
    here.hear(message(1, sender="Bob", event="join"), ME)
    assert here.names() == ["Abe", "Bob"]
    here.hear(message(2, "Abe left the chat", sender="Abe", event="leave"), ME)
    assert here.names() == ["Bob"]
    renamed = message(3, "Bob is now Bobby", sender="Bob", event="rename")
    here.hear(structs.replace(renamed, sender_name="Bobby"), ME)
    assert here.names() == ["Bobby"]


def test_who_spoke_and_left_is_not_offered_but_comes_first_when_back() -> None:
    here = people("Abe", "Bob")
    here.recall([message(1, sender="Bob"), message(2, sender="Zoe")])
    assert here.names() == ["Bob", "Abe"]
    here.hear(message(3, sender="Zoe", event="join"), ME)
    assert here.names() == ["Zoe", "Bob", "Abe"]


def test_of_who_spoke_and_left_nothing_is_kept() -> None:
    here = people("Abe", "Bob")
    here.hear(message(1, sender="Bob"), ME)
    here.hear(message(2, sender="Bob", event="leave"), ME)
    here.hear(message(3, sender="Bob", event="join"), ME)
    assert here.names() == ["Abe", "Bob"]


def test_oneself_is_not_offered() -> None:
    here = people("Abe")
    here.note([MemberName(ME, "Myself")], ME, are_all=False)
    mine = message(1, sender="me")
    here.hear(mine, mine.sender_id)
    assert here.names() == ["Abe"]


def test_a_name_that_cannot_be_shown_as_it_is_is_not_offered() -> None:
    assert people("Abe", "B\x1b[2Job").names() == ["Abe"]


def test_who_is_not_listed_has_left_if_all_are_listed() -> None:
    here = people("Abe", "Bob")
    here.note([MemberName("bob-1", "Bob")], ME, are_all=False)
    assert here.names() == ["Abe", "Bob"]
    here.note([MemberName("bob-1", "Bob")], ME, are_all=True)
    assert here.names() == ["Bob"]


def test_names_with_a_name_are_the_longer_ones() -> None:
    people = People()
    people.note([MemberName("1", "Mary ANN"), MemberName("2", "Bob"), MemberName("3", "Anna")], "me", are_all=True)
    assert people.names_with("Ann") == ["Mary ANN", "Anna"]
