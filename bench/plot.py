"""Plot of deliveries per second against the number of recipients."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from bench.scenarios import Options, Scenario, fan_out, rival_fan_out

RECIPIENTS: Final = (10, 30, 100, 300, 1000, 2000)
CURVES: Final[Mapping[str, Callable[..., Scenario]]] = {
    "Ringback, max_batch 256": lambda count: partial(fan_out, recipients=count),
    "Ringback, max_batch 1": lambda count: partial(fan_out, recipients=count, max_batch=1),
    "one session.post each": lambda count: partial(rival_fan_out, rival="plain", recipients=count),
}

Curves = dict[str, list[float]]


async def measure_curves(options: Options, tell: Callable[[str], None]) -> Curves:
    """Measure each point once. Return deliveries per second at each of `RECIPIENTS`. Raise `RunFailed`."""
    curves: Curves = {name: [] for name in CURVES}
    for count in RECIPIENTS:
        for name, scenario in CURVES.items():
            curves[name].append((await scenario(count)(options))["deliveries_per_second"])
            tell(f"{name}, {count} recipients: {curves[name][-1]:,.0f} deliveries/s")
    return curves


def draw(curves: Curves, file: Path) -> None:
    """Write the plot as SVG, with text as text elements, which keeps the file small."""
    import matplotlib as mpl  # imported here, because only `--plot` needs it

    mpl.use("svg")
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["svg.hashsalt"] = "ringback"  # equal figures give an identical file
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    for (name, values), marker in zip(curves.items(), "os^", strict=True):
        axes.loglog(RECIPIENTS, values, marker=marker, label=name)
        axes.annotate(f"{values[-1]:,.0f}", (RECIPIENTS[-1], values[-1]), xytext=(6, -3), textcoords="offset points")
    axes.set_xticks(RECIPIENTS, [f"{count:,}" for count in RECIPIENTS])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("recipients")
    axes.set_ylabel("deliveries a second")
    axes.set_xlim(RECIPIENTS[0] / 1.5, RECIPIENTS[-1] * 2.5)  # leaves room for the annotations on the right
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=len(curves), frameon=False)
    figure.savefig(file, facecolor="white", metadata={"Date": None})
    plt.close(figure)
