"""`python -m bench`: run the rows and print the figures."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from bench.control import RunFailed
from bench.harness import say
from bench.plot import draw, measure_curves
from bench.report import Result, Round, as_json, judge, table
from bench.rows import ROWS, Row
from bench.scenarios import Options

Done = TypeVar("Done")

SOAK: Final = "9"  # takes longer than all other rows together, and runs only if it is named


async def run_row(name: str, row: Row, rounds: int, options: Options) -> Result:
    """Run rival, ours, rival, `rounds` times; return the result, with the error of a failed run."""
    done: list[Round] = []
    try:
        for number in range(1 if row.once else rounds):
            before = [await row.rival(options)] if row.rival else []
            ours = await row.ours(options)
            after = [await row.rival(options)] if row.rival else []
            done.append(Round(ours, before + after))
            tell(f"  round {number + 1}: {done[-1]}")
    except RunFailed as problem:
        tell(f"  failed: {problem}")
        return Result(name, row.scenario, done, error=str(problem))
    return judge(name, row, done)


async def run_rows(names: list[str], rounds: int, options: Options) -> list[Result]:
    results = []
    for name in names:
        tell(f"row {name}: {ROWS[name].scenario}")
        results.append(await run_row(name, ROWS[name], rounds, options))
    return results


async def stoppable(work: Coroutine[Any, Any, Done]) -> Done:
    """Run `work`. SIGTERM cancels it, as Ctrl-C does, so that the started processes end in both cases."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def tell(line: str) -> None:
    """Write a line of progress to stderr."""
    sys.stderr.write(f"{line}\n")


def parse() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser("python -m bench", description="Measure Ringback against its rivals.")
    rows = ", ".join(ROWS)
    without = f"default without --plot: all but {SOAK}"
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{rows}; {without}")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds of each row (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured seconds of each run (%(default)s)")
    parser.add_argument("--soak-minutes", type=int, default=10, help=f"minutes that row {SOAK} measures (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures of all runs to FILE as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw deliveries/s against recipients as SVG in FILE")
    given = parser.parse_args()
    if unknown := [name for name in given.rows if name not in ROWS]:
        parser.error(f"there is no row {unknown[0]}; there are {rows}")
    if min(given.rounds, given.seconds, given.soak_minutes) <= 0:
        parser.error("--rounds, --seconds and --soak-minutes must be greater than 0")
    return given


def measure(given: argparse.Namespace) -> bool:
    """Run the rows and the plot. Return true if no row failed. Raise `RunFailed` if a run for the plot failed."""
    options = Options(given.seconds, given.soak_minutes)
    names = given.rows or ([] if given.plot else [name for name in ROWS if name != SOAK])
    results = asyncio.run(stoppable(run_rows(names, given.rounds, options)))
    if results:
        say(table(results))
    if given.json:
        told = {"rounds": given.rounds, "seconds": given.seconds, "soak_minutes": given.soak_minutes}
        given.json.write_bytes(as_json(results, told))
    if given.plot:
        draw(asyncio.run(stoppable(measure_curves(options, tell))), given.plot)
    return not any(result.error for result in results)


def main() -> None:
    """Measure, and exit with 1 if a run failed."""
    try:
        sys.exit(not measure(parse()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("stopped")
    except RunFailed as problem:
        sys.exit(f"the plot failed: {problem}")


if __name__ == "__main__":
    main()
