"""The checker is fed a history that is good, and that same history broken in one way each: it must say which."""

from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from tests.crash.history import History, Recipient, Record, Restart, Rule, Send, Violation, check


def message(seq: int, sender_id: str, text: str, client_msg_id: str | None = None) -> Record:
    return Record(epoch="e1", seq=seq, sender_id=sender_id, text=text, client_msg_id=client_msg_id)


def notice(seq: int, member_id: str, event: str, words: str) -> Record:
    return Record(epoch="e1", seq=seq, sender_id=member_id, text=f"{member_id} {words}", is_system=True, event=event)


LOG = [
    notice(1, "ann", "join", "joined the chat"),
    notice(2, "bob", "join", "joined the chat"),
    message(3, "ann", "one", "a1"),
    message(4, "bob", "two", "b1"),
    message(5, "ann", "three"),
    notice(6, "bob", "rename", "is now bobby"),
    message(7, "ann", "four", "a2"),
    message(8, "ann", "five", "a3"),
]
SENDS = [
    Send("ann", "a1", "one", began=1.0, ended=2.0, seq=3),
    Send("bob", "b1", "two", began=1.5, ended=3.0, seq=4),
    Send("ann", None, "three", began=3.5, ended=None, seq=None),
    Send("ann", "a2", "four", began=4.0, ended=6.0, seq=7),
    Send("ann", "a3", "five", began=6.5, ended=7.0, seq=8),
    Send("ann", None, "never stored", began=7.0, ended=None, seq=None),
    Send("ann", "a1", "one", began=8.0, ended=9.0, seq=3),  # a repeat of what was answered long ago
]
ANN = Recipient("ann", 1, [LOG[1], LOG[3], LOG[5]])
BOB = Recipient("bob", 2, [LOG[2], LOG[4], Restart(), LOG[2], LOG[4], LOG[6], LOG[7]])
EVE = Recipient("eve", 2, [*LOG[2:5], Restart(), *LOG[4:]])
GOOD = History(
    SENDS, [ANN, BOB, EVE], members={"ann", "bob", "eve"}, log=LOG, present={"ann", "bob"}, epochs=frozenset({"e1"})
)


def found(history: History, rule: Rule) -> list[str]:
    """The words of the violations of one rule."""
    return [violation.words for violation in check(history) if violation.rule is rule]


def eve_took(*arrivals: Record | Restart, stayed: bool = True) -> History:
    return replace(GOOD, recipients=[ANN, BOB, Recipient("eve", 2, arrivals, stayed)])


def without_log(history: History) -> History:
    return replace(history, log=None, present=None)


def with_sends(*sends: Send) -> History:
    return replace(GOOD, sends=[*SENDS, *sends])


def with_log(log: Sequence[Record]) -> History:
    """A log that everybody has from its beginning to its end."""
    eve = Recipient("eve", 0, log)
    return replace(GOOD, recipients=[eve], log=log, present=None)


def test_a_good_history_has_no_violations() -> None:
    assert check(GOOD) == []


def test_a_good_history_needs_no_log() -> None:
    assert check(without_log(GOOD)) == []


def test_an_empty_history_has_no_violations() -> None:
    assert check(History([], [], members=frozenset())) == []


def test_repeats_after_a_restart_are_allowed() -> None:
    assert check(eve_took(*LOG[2:6], Restart(), *LOG[3:])) == []


# (a) Nothing that was answered is missing.


def test_an_answered_message_that_a_recipient_lacks_is_lost() -> None:
    words = found(eve_took(*LOG[2:6], LOG[7]), Rule.LOST)
    assert words == ["eve never got seq 7, 'four' of ann, which was answered"]


def test_the_last_message_that_a_recipient_lacks_is_lost() -> None:
    words = found(without_log(eve_took(*LOG[2:7])), Rule.LOST)
    assert words == ["eve never got seq 8, 'five' of ann, which was answered"]


def test_a_notice_that_a_recipient_lacks_is_lost() -> None:
    words = found(eve_took(*LOG[2:5], *LOG[6:]), Rule.LOST)
    assert words == ["eve never got seq 6, the rename notice of bob, which is stored"]


def test_one_that_did_not_stay_may_lack_the_end() -> None:
    assert check(eve_took(*LOG[2:4], stayed=False)) == []


def test_an_answered_message_that_is_not_in_the_log_is_lost() -> None:
    words = found(with_sends(Send("bob", "b9", "gone", 9.0, 9.5, 99)), Rule.LOST)
    assert words == ["'gone' of bob was answered as seq 99 and is nowhere"]


def test_an_answered_message_that_nobody_got_is_lost_without_a_log_too() -> None:
    words = found(without_log(with_sends(Send("bob", "b9", "gone", 9.0, 9.5, 99))), Rule.LOST)
    assert words == ["'gone' of bob was answered as seq 99 and is nowhere"]


def test_an_answered_message_whose_seq_is_another_message_is_lost() -> None:
    words = found(with_sends(Send("bob", "b9", "gone", 9.0, 9.5, 5)), Rule.LOST)
    assert words == ["'gone' of bob was answered as seq 5 and is nowhere"]


# (b) Nothing appears that was not sent.


def test_a_text_that_nobody_sent_is_invented() -> None:
    words = found(with_log([*LOG, message(9, "ann", "boo")]), Rule.INVENTED)
    assert words == ["seq 9 is 'boo' of ann, and nobody sent it"]


def test_a_text_that_another_sent_is_invented() -> None:
    words = found(with_log([*LOG[:3], message(4, "ann", "two", "b1"), *LOG[4:]]), Rule.INVENTED)
    assert words == ["seq 4 is 'two' of ann, and nobody sent it"]


def test_a_message_with_another_client_msg_id_is_invented() -> None:
    words = found(with_log([*LOG[:3], message(4, "bob", "two", "b2"), *LOG[4:]]), Rule.INVENTED)
    assert words == ["seq 4 is 'two' of bob, and nobody sent it"]


def test_a_notice_of_nobody_is_invented() -> None:
    words = found(with_log([*LOG, notice(9, "mallory", "join", "joined the chat")]), Rule.INVENTED)
    assert words == ["seq 9 is the join notice of mallory, and there is no such member"]


def test_a_notice_with_words_of_a_member_is_invented() -> None:
    words = found(with_log([*LOG, notice(9, "eve", "join", "owes me money")]), Rule.INVENTED)
    assert words == ["seq 9 is the join notice of eve, and the server says no such thing: 'eve owes me money'"]


def test_a_notice_that_carries_a_client_msg_id_is_invented() -> None:
    marked = structs.replace(notice(9, "eve", "join", "joined the chat"), client_msg_id="a1")
    assert found(with_log([*LOG, marked]), Rule.INVENTED) == [
        "seq 9 is the join notice of eve, and a notice has no client_msg_id"
    ]


# (c) Each recipient sees the log in its order and without a hole.


def test_a_hole_is_told_even_of_one_that_did_not_stay() -> None:
    words = found(eve_took(*LOG[2:5], LOG[7], stayed=False), Rule.OUT_OF_ORDER)
    assert words == ["eve went from seq 5 to 8 without 6, 7"]


def test_a_hole_is_seen_by_what_another_recipient_took() -> None:
    words = found(without_log(eve_took(*LOG[2:4], *LOG[5:])), Rule.OUT_OF_ORDER)
    assert words == ["eve went from seq 4 to 6 without 5"]


def test_a_hole_at_the_beginning_is_told() -> None:
    words = found(eve_took(*LOG[3:]), Rule.OUT_OF_ORDER)
    assert words == ["eve went from seq 2 to 4 without 3"]


def test_two_that_came_in_the_wrong_order_are_told() -> None:
    words = found(eve_took(*LOG[2:4], LOG[5], LOG[4], *LOG[6:]), Rule.OUT_OF_ORDER)
    assert words == ["eve went from seq 4 to 6 without 5", "eve got seq 5 first when it was at 6"]


def test_what_was_before_the_recipient_came_in_is_no_repeat() -> None:
    words = found(eve_took(*LOG[1:]), Rule.OUT_OF_ORDER)
    assert words == ["eve got seq 2 first when it was at 2"]


def test_ones_own_message_must_not_come() -> None:
    bob = Recipient("bob", 2, [LOG[2], LOG[3], LOG[4], LOG[6], LOG[7]])
    words = found(replace(GOOD, recipients=[ANN, bob, EVE]), Rule.OUT_OF_ORDER)
    assert words == ["bob got its own seq 4"]


def test_a_hole_in_the_log_itself_is_told() -> None:
    words = found(with_log([*LOG[:4], *LOG[5:]]), Rule.OUT_OF_ORDER)
    assert words == ["in the log, seq 6 follows on 4"]


# (d) One seq is one message.


def test_two_bodies_of_one_seq_are_told_with_who_has_which() -> None:
    words = found(eve_took(*LOG[2:4], message(5, "ann", "tree"), *LOG[5:]), Rule.TWO_BODIES)
    assert words == ["seq 5 is not the same everywhere: 'three' of ann at bob, the log; 'tree' of ann at eve"]


def test_a_repeat_with_another_body_is_told() -> None:
    words = found(eve_took(*LOG[2:5], Restart(), message(5, "ann", "tree"), *LOG[5:]), Rule.TWO_BODIES)
    assert words == ["seq 5 is not the same everywhere: 'three' of ann at bob, eve, the log; 'tree' of ann at eve"]


# (e) An id is stored once, and the answer is true.


def test_two_seqs_for_one_client_msg_id_are_told() -> None:
    words = found(with_log([*LOG, message(9, "ann", "four", "a2")]), Rule.STORED_TWICE)
    assert words == ["client_msg_id a2 of ann has more than one seq: 7, 9"]


def test_one_client_msg_id_under_two_texts_is_told() -> None:
    sends = [*SENDS, Send("ann", "a2", "other", 7.0, None, None)]
    history = replace(with_log([*LOG, message(9, "ann", "other", "a2")]), sends=sends)
    assert found(history, Rule.STORED_TWICE) == ["client_msg_id a2 of ann has more than one seq: 7, 9"]


def test_a_repeated_send_that_is_answered_with_another_seq_is_told() -> None:
    words = found(with_sends(Send("ann", "a1", "one", 9.0, 9.5, 5)), Rule.STORED_TWICE)
    assert words == ["client_msg_id a1 of ann has more than one seq: 3, 5"]


def test_an_unanswered_send_without_an_id_that_is_there_twice_is_told() -> None:
    words = found(with_log([*LOG, message(9, "ann", "three")]), Rule.STORED_TWICE)
    assert words == ["'three' of ann was sent 1 times and is there as seq 5, 9"]


def test_an_answer_that_names_another_message_is_wrong() -> None:
    words = found(with_sends(Send("bob", None, "here", 9.0, 9.5, 5)), Rule.WRONG_ANSWER)
    assert words == ["'here' of bob was answered as seq 5, which is 'three' of ann"]


def test_an_answer_that_names_a_notice_is_wrong() -> None:
    words = found(with_sends(Send("bob", None, "here", 9.0, 9.5, 6)), Rule.WRONG_ANSWER)
    assert words == ["'here' of bob was answered as seq 6, which is the rename notice of bob"]


def test_one_answer_for_two_messages_is_wrong_even_if_nobody_got_it() -> None:
    lost = [Send("bob", None, "here", 9.0, 9.5, 99), Send("bob", None, "there", 9.6, 9.7, 99)]
    words = found(with_sends(*lost), Rule.WRONG_ANSWER)
    assert words == ["seq 99 was the answer to 'here' of bob and to 'there' of bob"]


# (f) What was answered before another began is before it.


def swapped(first: Send, second: Send) -> History:
    """Two sends answered with each other's seq, in a log that agrees."""
    assert first.seq is not None
    assert second.seq is not None
    log = list(LOG)
    log[first.seq - 1], log[second.seq - 1] = (
        structs.replace(log[second.seq - 1], seq=first.seq),
        structs.replace(log[first.seq - 1], seq=second.seq),
    )
    others = [send for send in SENDS if send not in (first, second)]
    sends = [replace(first, seq=second.seq), replace(second, seq=first.seq), *others]
    return replace(with_log(log), sends=sends)


def test_a_message_that_overtook_an_answered_one_is_told() -> None:
    history = swapped(SENDS[3], SENDS[4])
    assert check(history) == [
        Violation(Rule.OVERTAKEN, "'five' of ann began after 'four' of ann was answered as seq 8, and has 7")
    ]


def test_sends_that_overlap_may_be_stored_in_either_order() -> None:
    history = swapped(SENDS[3], SENDS[4])
    longer = [replace(send, ended=6.7) if send.text == "four" else send for send in history.sends]
    assert check(replace(history, sends=longer)) == []


def test_an_unanswered_message_that_overtook_an_answered_one_is_told() -> None:
    unanswered = replace(SENDS[2], began=6.1)
    history = replace(GOOD, sends=[*SENDS[:2], unanswered, *SENDS[3:]])
    assert found(history, Rule.OVERTAKEN) == [
        "'three' of ann began after 'four' of ann was answered as seq 7, and has 5"
    ]


# (g) The log stays the same log.


def test_a_message_of_another_epoch_is_told() -> None:
    words = found(eve_took(*LOG[2:7], structs.replace(LOG[7], epoch="e2")), Rule.EPOCH)
    assert words == ["the log changed its epoch: e1, e2 were seen"]


def test_an_epoch_that_was_only_told_counts_too() -> None:
    words = found(replace(GOOD, epochs=frozenset({"e1", "e2"})), Rule.EPOCH)
    assert words == ["the log changed its epoch: e1, e2 were seen"]


# Who is here is what the notices say.


def test_one_who_joins_without_having_left_is_told() -> None:
    words = found(with_log([*LOG, notice(9, "bob", "join", "joined the chat")]), Rule.PRESENCE)
    assert words == ["seq 9 is the join notice of bob, who was present"]


def test_one_who_leaves_without_having_joined_is_told() -> None:
    words = found(with_log([*LOG, notice(9, "eve", "leave", "left the chat")]), Rule.PRESENCE)
    assert words == ["seq 9 is the leave notice of eve, who was away"]


def test_one_who_has_left_and_is_still_listed_is_told() -> None:
    words = found(replace(GOOD, present={"ann", "bob", "eve"}), Rule.PRESENCE)
    assert words == ["by the notices eve is away, and it is still listed"]


def test_one_who_has_joined_and_is_not_listed_is_told() -> None:
    words = found(replace(GOOD, present={"ann"}), Rule.PRESENCE)
    assert words == ["by the notices bob is here, and it is not listed"]
