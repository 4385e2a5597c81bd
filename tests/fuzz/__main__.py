"""`python -m tests.fuzz --inputs 200000 --seed 7`: send whatever there is to every port, and see that nothing hurts."""

import asyncio
import random
import sys

import click

from tests.fuzz.run import PORTS, Figures, fuzz

try:
    import uvloop
except ImportError:  # no wheel for this platform: asyncio's own loop does
    uvloop = None  # type: ignore[assignment]

NAMES = {port().name: port for port in PORTS}


@click.command("python -m tests.fuzz")
@click.option("--inputs", default=200_000, show_default=True, type=click.IntRange(1), help="How many to each port.")
@click.option("--seed", type=int, help="From which all inputs are drawn; any, if none is given.")
@click.option("--port", "ports", multiple=True, type=click.Choice(list(NAMES)), help="Only this one; may be repeated.")
@click.option("--first", default=0, type=click.IntRange(0), help="The number of the first input, to send one again.")
def main(inputs: int, seed: int | None, ports: tuple[str, ...], first: int) -> None:
    """Send hostile input to every port of a server and a client, and check each answer."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    click.echo(f"seed {seed}, {inputs:,} inputs to each of {', '.join(ports or NAMES)}")
    figures = [_run(name, seed, range(first, first + inputs)) for name in ports or NAMES]
    sys.exit(any(figure.failures for figure in figures))


def _run(name: str, seed: int, inputs: range) -> Figures:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        figures = runner.run(fuzz(NAMES[name], seed, inputs))
    for line in figures.lines():
        click.echo(line)
    return figures


if __name__ == "__main__":
    main()
