import asyncio

import pytest

from client.session.inbox import Inbox
from protocol.messages import ChatMessage, ReceiveTypingParams
from tests.client.fake_server import message


class Rung:
    """A seat, and what came of ringing there."""

    def __init__(self, epoch: str = "", taken: int = 0) -> None:
        self.seat = Inbox(
            self, on_other_log=self._doubt, on_held_push=self._knock, keep=self._keep, epoch=epoch, taken=taken
        )
        self.told: list[str] = []

    def on_message(self, message: ChatMessage) -> None:
        self.told.append(f"shown {message.seq}")

    def on_typing(self, who: ReceiveTypingParams) -> None:
        self.told.append("typing")

    def _doubt(self) -> None:
        self.told.append("doubt")

    def _knock(self) -> None:
        self.told.append("knock")

    def _keep(self) -> None:
        self.told.append(f"kept {self.seat.taken}")

    async def post(self, epoch: str, *seqs: int) -> None:
        """Do what the endpoint does with one POST."""
        await self.seat.wait_until_open(epoch)
        for seq in seqs:
            self.seat.receive(message(seq))
        self.seat.keep()


async def waiting(*posts: "asyncio.Task[None]") -> bool:
    """Tell whether all of these wait, after they had their chance."""
    for _ in range(5):
        await asyncio.sleep(0)
    return not any(post.done() for post in posts)


async def test_before_register_is_answered_a_post_waits() -> None:
    rung = Rung()
    post = asyncio.create_task(rung.post("one", 6))
    assert await waiting(post)
    rung.seat.open("one", 5)
    await post
    assert rung.told == ["shown 6", "kept 6"]


async def test_what_was_remembered_does_not_let_a_post_in_before_register_is_answered() -> None:
    rung = Rung("one", 5)
    post = asyncio.create_task(rung.post("one", 5, 6))
    assert await waiting(post)
    rung.seat.open("one", 3)
    await post
    assert rung.told == ["shown 6", "kept 6"]


async def test_in_the_same_log_what_was_taken_counts_and_not_the_cursor_of_the_server() -> None:
    rung = Rung("one", 50)
    rung.seat.open("one", 20)
    await rung.post("one", 21, 49, 50)
    assert (rung.told, rung.seat.taken) == ([], 50)


async def test_in_another_log_the_cursor_counts_and_not_what_was_taken() -> None:
    rung = Rung("one", 50)
    rung.seat.open("two", 20)
    await rung.post("two", 20, 21)
    assert rung.told == ["shown 21", "kept 21"]


async def test_a_post_of_another_log_raises_doubt_and_waits_for_the_answer_that_tells_of_it() -> None:
    rung = Rung()
    rung.seat.open("one", 50)
    post = asyncio.create_task(rung.post("two", 31))
    assert await waiting(post)
    rung.seat.open("one", 50)  # an answer that was given before
    assert await waiting(post)
    rung.seat.open("two", 30)
    await post
    assert rung.told == ["doubt", "shown 31", "kept 31"]


async def test_a_late_post_of_the_log_before_is_never_taken() -> None:
    rung = Rung()
    rung.seat.open("one", 50)
    rung.seat.open("two", 30)
    post = asyncio.create_task(rung.post("one", 51))
    assert await waiting(post)
    rung.seat.close()
    post.cancel()
    assert rung.seat.taken == 30


async def test_when_the_log_changes_twice_only_the_last_one_is_taken_from() -> None:
    rung = Rung()
    rung.seat.open("one", 50)
    second, third = (asyncio.create_task(rung.post(epoch, 31)) for epoch in ("two", "three"))
    assert await waiting(second, third)
    rung.seat.open("three", 30)
    await third
    assert await waiting(second)
    second.cancel()
    assert rung.told == ["doubt", "doubt", "shown 31", "kept 31"]


async def test_posts_that_waited_together_show_nothing_twice_in_whatever_order_they_come() -> None:
    rung = Rung("one", 5)
    posts = [asyncio.create_task(rung.post("one", *range(6, last))) for last in (9, 8, 10)]
    assert await waiting(*posts)
    rung.seat.open("one", 5)
    await asyncio.gather(*posts)
    assert [told for told in rung.told if "shown" in told] == ["shown 6", "shown 7", "shown 8", "shown 9"]


async def test_at_a_seat_that_is_held_a_post_knocks_and_waits_and_what_was_shown_meanwhile_is_a_repeat() -> None:
    rung = Rung()
    rung.seat.open("one", 5)
    rung.seat.hold()
    post = asyncio.create_task(rung.post("one", 6, 7, 8))
    assert await waiting(post)
    rung.seat.open("one", 5)
    rung.seat.pass_over(7)
    await post
    assert rung.told == ["knock", "shown 8", "kept 8"]


async def test_what_is_passed_over_is_kept_before_it_is_acknowledged() -> None:
    rung = Rung()
    rung.seat.open("one", 5)
    rung.seat.pass_over(7)
    await rung.post("one", 6, 7)
    assert rung.told == ["kept 7"]


async def test_who_waits_at_a_seat_that_is_closed_waits_no_more() -> None:
    rung = Rung()
    follow = asyncio.create_task(rung.seat.wait_until_open("one"))
    assert not follow.done()
    rung.seat.close()
    await follow


async def test_a_batch_is_kept_once_and_a_repeat_not_at_all() -> None:
    rung = Rung()
    rung.seat.open("one", 0)
    await rung.post("one", 1, 2, 3)
    await rung.post("one", 2, 3)
    assert rung.told == ["shown 1", "shown 2", "shown 3", "kept 3"]


async def test_without_a_log_in_its_webhook_id_a_message_is_not_taken_early() -> None:
    with pytest.raises(RuntimeError, match="before the response to Register"):
        Rung().seat.receive(message(1))


async def test_typing_is_shown_only_from_the_answer_to_register_on() -> None:
    rung = Rung()
    who = ReceiveTypingParams(sender_id="bob-1", sender_name="Bob", room="lobby")
    rung.seat.typing(who)
    rung.seat.open("one", 0)
    rung.seat.typing(who)
    assert rung.told == ["typing"]
