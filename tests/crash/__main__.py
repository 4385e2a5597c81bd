"""`python -m tests.crash --rounds 200 --seed 7`: kill everything, again and again, and prove that nothing was lost."""

import asyncio
import contextlib
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import click

from tests.crash.plan import make_plan
from tests.crash.run import CrashRun, Outcome

SHOWN_VIOLATIONS = 40


@click.command("python -m tests.crash")
@click.option(
    "--rounds", default=200, show_default=True, type=click.IntRange(1), help="How often to kill -9 the server."
)
@click.option("--seed", type=int, help="From which all faults are drawn; any, if none is given.")
def main(rounds: int, seed: int | None) -> None:
    """Kill, hold and cut off a server and its recipients while messages are sent; then check what everybody got."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    directory = Path(tempfile.mkdtemp(prefix="ringback-crash-"))
    click.echo(f"seed {seed}, {rounds} rounds, files in {directory}")
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        outcome = asyncio.run(_run(rounds, seed, directory))
        _tell(outcome)
        if outcome.is_good:
            shutil.rmtree(directory)
            return
    click.echo(f"Seed {seed}; the files of this run are in {directory}")
    sys.exit(1)


async def _run(rounds: int, seed: int, directory: Path) -> Outcome:
    run = asyncio.ensure_future(CrashRun(make_plan(seed, rounds), seed, directory, tell=click.echo).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.cancel)
    return await run


def _tell(outcome: Outcome) -> None:
    lines = outcome.lines()
    for line in lines[:SHOWN_VIOLATIONS]:
        click.echo(line)
    if len(lines) > SHOWN_VIOLATIONS:
        click.echo(f"… and {len(lines) - SHOWN_VIOLATIONS} more")


if __name__ == "__main__":
    main()
