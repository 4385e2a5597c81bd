"""A short run to each port, whose inputs Hypothesis draws and shrinks, and the proof that a run can fail."""

import asyncio
import logging
from collections.abc import Callable
from random import Random
from typing import Any, Self

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import main
from tests.fuzz.judge import Wrong
from tests.fuzz.port import Port
from tests.fuzz.run import MOST_FAILURES, NEW_SUBJECT_EVERY, PORTS, attempt, fuzz
from tests.fuzz.watch import Watch, watching


@pytest.mark.parametrize("new_port", PORTS, ids=lambda port: port.name)
async def test_whatever_is_sent_gets_its_answer_and_so_does_the_next_good_request(new_port: Callable[[], Port]) -> None:
    loop = asyncio.get_running_loop()
    with watching() as watch:
        async with new_port() as port:

            @settings(max_examples=100, database=None, suppress_health_check=list(HealthCheck))
            @given(st.randoms(use_true_random=False).map(port.draw))
            def check(given: Any) -> None:
                sent = attempt(port, given, watch, is_checked=True)
                asyncio.run_coroutine_threadsafe(sent, loop).result()

            await asyncio.to_thread(check)
        watch.check()


@pytest.mark.parametrize("new_port", PORTS, ids=lambda port: port.name)
async def test_a_seed_makes_the_same_inputs_again(new_port: Callable[[], Port]) -> None:
    async with new_port() as port:
        first, again, other = (
            [port.draw(Random(seed)).whole for seed in seeds] for seeds in (range(99), range(99), range(99, 198))
        )
    assert first == again
    assert first != other
    assert len(set(first)) > 50


def test_the_command_tells_its_figures() -> None:
    told = CliRunner().invoke(main, ["--inputs", "20", "--seed", "7", "--port", "server-rpc"])
    assert told.exit_code == 0, told.output
    assert told.output.startswith("seed 7, 20 inputs to each of server-rpc\nserver-rpc: 20 inputs in ")
    assert "0 failures" in told.output


class Scripted:
    """A port that is wrong about the inputs in `wrong`, and stumbles over those in `stumbles`."""

    name = "scripted"
    begun = 0
    asked: tuple[int, ...] = ()
    wrong: frozenset[int] = frozenset()
    stumbles: frozenset[int] = frozenset()

    async def __aenter__(self) -> Self:
        type(self).begun += 1
        return self

    async def __aexit__(self, *_: object) -> None: ...

    def draw(self, draw: Random) -> "Numbered":
        return Numbered(draw.getrandbits(64))

    async def attempt(self, given: "Numbered") -> str:
        number = len(self.asked)
        type(self).asked += (given.value,)
        if number in self.wrong:
            raise Wrong("no answer")
        if number in self.stumbles:
            logging.getLogger("ringback.server").error("stumbled")
        return "result"

    async def still_works(self) -> None: ...


class Numbered:
    """An input that is a number."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.whole = b"%d" % value


def scripted(**given: Any) -> type[Scripted]:
    return type("ThisOne", (Scripted,), given)


async def test_a_run_goes_on_behind_a_failure_with_a_new_subject_and_tells_it() -> None:
    port = scripted(wrong={3}, stumbles={5})
    figures = await fuzz(port, 7, range(10))
    assert [failure.number for failure in figures.failures] == [3, 5]
    assert (figures.inputs, figures.kinds, port.begun) == (10, {"result": 8}, 3)
    told = "\n".join(figures.lines())
    assert "--port scripted --seed 7 --first 3 --inputs 1): no answer" in told
    assert repr(b"%d" % port.asked[3]) in told
    assert "[ERROR] stumbled" in told


async def test_an_input_can_be_sent_again_by_its_number() -> None:
    run, again = scripted(), scripted()
    await fuzz(run, 7, range(10))
    await fuzz(again, 7, range(8, 9))
    assert again.asked == run.asked[8:9]


async def test_a_run_gives_up_when_much_is_wrong_and_begins_anew_now_and_then() -> None:
    port = scripted(wrong=set(range(100)))
    assert len((await fuzz(port, 7, range(100))).failures) == MOST_FAILURES
    port = scripted()
    assert (await fuzz(port, 7, range(NEW_SUBJECT_EVERY + 1))).inputs == NEW_SUBJECT_EVERY + 1
    assert port.begun == 2


async def test_a_task_that_fails_alone_is_a_failure() -> None:
    async def fail() -> None:
        raise LookupError("alone")

    class Careless(Scripted):
        async def attempt(self, given: Numbered) -> str:
            asyncio.get_running_loop().create_task(fail())
            return "result"

    figures = await fuzz(Careless, 7, range(1))
    assert "LookupError('alone')" in figures.failures[0].problem


@pytest.mark.parametrize("words", ["two\nlines %s", "a value that cannot be written: %d"])
def test_a_line_of_the_log_that_is_two_or_none_is_found(words: str) -> None:
    watch = Watch()
    watch.handle(logging.LogRecord("ringback.server", logging.INFO, __file__, 1, words, ("x",), None))
    with pytest.raises(Wrong):
        watch.check()
    watch.check()
