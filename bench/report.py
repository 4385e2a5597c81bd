"""Reports of the runs: a Markdown table and JSON."""

import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.rows import Bar, Row
from bench.scenarios import Figures

COST: Final = "cpu_per_million"
HEADINGS: Final = ("row", "scenario", "unit", "rival", "ours", "ratio", "bar", "met", "CPU s per million")


class Round(msgspec.Struct):
    """The figures of a round: rival, ours, rival; or ours alone."""

    ours: Figures
    rivals: list[Figures]

    def rival(self, figure: str) -> float:
        """Return the mean of the rival's runs."""
        return statistics.fmean(run[figure] for run in self.rivals)

    def ratio(self, figure: str) -> float:
        """Return our figure as a multiple of the rival's."""
        return self.ours[figure] / self.rival(figure)


class Verdict(msgspec.Struct):
    """The outcome for a bar, as medians over the rounds. The bar applies to `ratio`; without a rival, to `ours`."""

    figure: str
    unit: str
    ours: float
    rival: float | None
    ratio: float | None
    bar: str
    met: bool | None


class Result(msgspec.Struct):
    """The result of a row. If a run failed, `error` is its cause, and there are no verdicts."""

    row: str
    scenario: str
    rounds: list[Round] = []
    verdicts: list[Verdict] = []
    cpu_seconds_per_million: float | None = None
    error: str | None = None


def judge(name: str, row: Row, rounds: list[Round]) -> Result:
    """Return the result of a row from its rounds."""
    costs = [run.ours[COST] for run in rounds if COST in run.ours]
    verdicts = [_judge(bar, rounds) for bar in row.bars]
    return Result(name, row.scenario, rounds, verdicts, statistics.median(costs) if costs else None)


def table(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table."""
    rows = [HEADINGS, *(cells for result in results for cells in _cells(result))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "-|-".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


def as_json(results: Sequence[Result], options: dict[str, Any]) -> bytes:
    """Return all figures of all runs as JSON, with the kind of machine but without its name."""
    told = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "processor": _processor(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "options": options,
        "rows": results,
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n"


def _judge(bar: Bar, rounds: Sequence[Round]) -> Verdict:
    ours = statistics.median(run.ours[bar.figure] for run in rounds)
    rival = ratio = None
    if rounds[0].rivals:
        rival = statistics.median(run.rival(bar.figure) for run in rounds)
        ratio = statistics.median(run.ratio(bar.figure) for run in rounds)
    met = bar.is_met(ours if ratio is None else ratio)
    return Verdict(bar.figure, bar.unit, ours, rival, ratio, str(bar), met)


def _cells(result: Result) -> Iterator[tuple[str, ...]]:
    if result.error is not None:
        yield (result.row, result.scenario, *[""] * 5, "failed", "")
    for verdict in result.verdicts:
        figures = (_short(value) for value in (verdict.rival, verdict.ours, verdict.ratio))
        met = {True: "yes", False: "NO", None: ""}[verdict.met]
        cost = _short(result.cpu_seconds_per_million)
        yield (result.row, result.scenario, verdict.unit, *figures, verdict.bar, met, cost)


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _processor() -> str:
    """Return the processor's model (Linux), or an empty string."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
