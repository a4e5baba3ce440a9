"""Section 13: what a structure gains by the clock, and what it costs in accuracy. From measurements and runs."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from matplotlib import rc_context
from matplotlib.figure import Figure
from torch import Tensor

from rigl_nb import paths
from rigl_nb.claims.claim import Cell, places
from rigl_nb.claims.fact import Fact
from rigl_nb.claims.statements.structured import SPEEDUPS
from rigl_nb.deploy.speed import Spread
from rigl_nb.experiments.structured import DENSITY, EQUAL_TIME
from rigl_nb.report.figures import tables
from rigl_nb.report.figures.style import STYLE, Picture, method_style
from rigl_nb.runs.terminal import count

PARTS, NETWORK = ("section-13", "structure"), "wrn-10-1"  # of the benchmarks; that of this section's runs
MARKERS = {"weight": "o", "kernel": "s", "channel": "D", "fan-in": "^", "2:4": "P"}


@dataclass(frozen=True)
class Measured:
    """What the benchmarks measured of structures on one machine: `rows` has quantity, subject, values and note."""

    machine: str
    threads: int
    commits: tuple[str, ...]  # of its parts
    date: str  # of the newest
    rows: pd.DataFrame

    def of(self, quantity: str, subject: str) -> tuple[float, ...]:
        """The values of one measurement; none where it was not made."""
        found = self.rows[(self.rows["quantity"] == quantity) & (self.rows["subject"] == subject)]
        return tuple(found["values"].iloc[0]) if len(found) else ()


def measured(folder: Path | None = None) -> Measured:
    """The newest measurement of structures in a folder of the benchmarks' files; ValueError without any."""
    folder = paths.ROOT / "benchmarks" / "results" if folder is None else folder
    files = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    there = [(file, [file["parts"][name] for name in PARTS]) for file in files if set(PARTS) <= file["parts"].keys()]
    if not there:
        raise ValueError(f"{folder} has no times of structures: run python -m benchmarks --only {' '.join(PARTS)}")
    file, parts = max(there, key=lambda one: one[1][0]["date"])
    rows = pd.concat([pd.DataFrame(part["measurements"])[["quantity", "subject", "values", "note"]] for part in parts])
    rows = rows.drop_duplicates(["quantity", "subject"])  # what the first part measures, the other may have had before
    commits, newest = tuple(dict.fromkeys(part["commit"] for part in parts)), max(part["date"] for part in parts)
    return Measured(file["hardware"], parts[0]["threads"], commits, newest, rows.reset_index(drop=True))


def about(found: Measured) -> str:
    """Where and when it was measured, a line each."""
    threads = count(found.threads, "thread")
    commits = " and ".join(commit[:7] for commit in found.commits)
    return f"{found.machine}, {threads} where no other number is given\n{found.date}, commit {commits}"


def networks(found: Measured, name: str = "wrn-22-2") -> pd.DataFrame:
    """Speed-ups of a whole network with fewer channels over the dense one: a row a form and density."""
    gains = found.rows["quantity"].str.contains("speed-up, (?:forward|training step)", regex=True)
    rows = found.rows[found.rows["subject"].str.startswith(f"{name}, ") & gains]
    table = pd.DataFrame(
        {
            "form": rows["subject"].str.removeprefix(f"{name}, ").str.replace(", density", " at"),
            "FLOPs": rows["note"].str.extract(r"([\d.]+) %")[0] + "\N{NO-BREAK SPACE}%",
            "what": rows["quantity"].str.removeprefix("speed-up, "),
            "gain": rows["values"].map(times),
        }
    )
    wide = table.pivot_table("gain", ["form", "FLOPs"], "what", aggfunc="first", sort=False)
    return wide.reset_index().rename_axis(columns=None)


def layers(found: Measured) -> pd.DataFrame:
    """Speed-ups of single layers at density 0.1 over the dense layer: a row for each form, a column for each layer."""
    single = found.rows["subject"].str.contains("layer|convolution", regex=True)
    rows = found.rows[found.rows["quantity"].str.startswith("speed-up, forward") & single]
    parts = rows["subject"].str.extract(r"^(?P<layer>[^,]+), (?P<form>[^,]+)")
    batch = rows["quantity"].str.extract(r"batch (\d+)")[0]
    table = parts.assign(column=parts["layer"] + ", batch " + batch, gain=rows["values"].map(times))
    wide = table.pivot_table("gain", "form", "column", aggfunc="first", sort=False)
    return wide.reset_index().rename_axis(columns=None)


def times(values: Sequence[float]) -> str:
    """Format "2.05× [2.01, 2.10]", without a place to break: the median and the middle half."""
    if not values:
        return tables.NONE
    spread = Spread.of(values)
    return f"{spread.median:.2f}×\N{NO-BREAK SPACE}[{spread.low:.2f},\N{NO-BREAK SPACE}{spread.high:.2f}]"


def fact(found: Measured) -> Fact:
    """What of the abstract's sentence a CPU can show: each timing of a network with fewer hidden channels."""
    gains = found.rows["quantity"].str.startswith("speed-up, ") & found.rows["values"].map(bool)
    timed = found.rows[gains & found.rows["subject"].str.contains(", hidden channels")]
    faster = sum(Spread.of(values).low > 1 for values in timed["values"])
    tested = (
        "timings of these networks whose middle half is above 1; the sentence is about accelerators: none was timed"
    )
    name = "fewer hidden channels are faster on one CPU"
    return Fact(name, SPEEDUPS, "abstract", tested, faster, len(timed), "13", "by the clock")


def trainings(found: Measured) -> pd.DataFrame:
    """Whole trainings, from one update of the channels to the next: compact over masked."""
    rows = found.rows[found.rows["quantity"].str.startswith("speed-up, training, ")]
    return pd.DataFrame(
        {
            "network": rows["subject"],
            "training": rows["quantity"].str.removeprefix("speed-up, training, "),
            "compact over masked": rows["values"].map(times),
        }
    )


def shares(found: Measured) -> dict[str, float]:
    """By row name and density: the time of a training step as a share of the dense one's, where it was measured."""
    what = f"speed-up, training step, batch 128, {count(found.threads, 'thread')}"
    forms = {
        Cell("Small-Dense", None, DENSITY).label: f"all widths, density {DENSITY}",
        Cell("Small-Dense", None, EQUAL_TIME).label: f"all widths, density {EQUAL_TIME}",
        **{
            Cell(method, "Random", DENSITY, structure="channel").label: f"hidden channels, density {DENSITY}"
            for method in ("RigL", "Static", "SET")
        },
    }
    gains = {label: found.of(what, f"{NETWORK}, {form}") for label, form in forms.items()}
    return {label: 1 / median(values) for label, values in gains.items() if values}


def accuracy(runs: pd.DataFrame, found: Measured) -> pd.DataFrame:
    """A row for each cell: test accuracy, and the time of a training step, which is 1 where masks only put zeros."""
    present, time = runs[runs["present"].astype(bool)], shares(found)
    rows = []
    for cell, there in places(present).items():
        values = present["test_accuracy"].iloc[there].to_numpy(float)
        whole = cell.structure != "channel" and cell.method != "Small-Dense"  # zeros among as many weights, or none
        rows.append(
            {
                "cell": cell,
                "mean": values.mean(),
                "std": values.std(ddof=1) if len(values) > 1 else np.nan,
                "n": len(values),
                "flops": present["test_flops"].iloc[there].mean(),
                "time": 1.0 if whole else time.get(cell.label, np.nan),
            }
        )
    return pd.DataFrame(rows, columns=["cell", "mean", "std", "n", "flops", "time"])


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """The texts of `accuracy`, most accurate first."""
    shown = rows.sort_values("mean", ascending=False)
    spread = ["" if np.isnan(std) else f" ± {std:.2f}" for std in shown["std"]]
    score = [f"{mean:.2f}{std} (n = {n})" for mean, std, n in zip(shown["mean"], spread, shown["n"], strict=True)]
    return pd.DataFrame(
        {
            "network": [cell.label for cell in shown["cell"]],
            "test accuracy": score,
            "FLOPs of a prediction": shown["flops"].map("{:.3f}×".format),
            "time of a training step": ["–" if np.isnan(t) else f"{t:.2f}×" for t in shown["time"]],
        }
    )


@rc_context(STYLE)
def picture(rows: pd.DataFrame) -> Figure | Markdown:
    """Accuracy against the measured time of a training step; Dense and Small-Dense are joined: the line to beat."""
    shown = rows[rows["time"].notna()]
    if shown.empty:
        return Markdown("There is nothing to draw yet: no run of this section has a record.")
    figure = Picture(3.8)
    axis = figure.subplots()
    plain = shown[[cell.method in ("Dense", "Small-Dense") for cell in shown["cell"]]].sort_values("time")
    axis.plot(plain["time"], plain["mean"], color="0.6", linewidth=1, zorder=1)
    masked = itertools.count(1)
    for row in shown.itertuples():
        cell = row.cell
        marker = method_style(cell.method)["marker"] if cell.structure == "weight" else MARKERS[cell.structure]
        aside = 0.02 * next(masked) if row.time == 1 and cell.method != "Dense" else 0
        axis.errorbar(
            row.time + aside,
            row.mean,
            0 if np.isnan(row.std) else row.std,
            fmt=marker,
            color=method_style(cell.method)["color"],
            markersize=6,
            elinewidth=0.8,
            label=f"{cell.label} (n = {row.n})",
        )
    axis.set(xlabel="time of a training step (dense: 1)", ylabel="test accuracy (%)", xlim=(0, 1.15))
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def dead(masks: Mapping[str, Tensor]) -> tuple[int, str, str]:
    """Layers of a run's masks, and how many of their outputs, and of their inputs, have no weight at all."""
    live = [(mask.flatten(1).any(1), mask.transpose(0, 1).flatten(1).any(1)) for mask in masks.values()]
    sides = [torch.cat(side) for side in zip(*live, strict=True)]
    return len(masks), *(f"{int((~side).sum())} of {len(side):,}" for side in sides)
