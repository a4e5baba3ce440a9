"""The central claims at one glance: what the printed values show, and what our runs show so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_

import pandas as pd
from IPython.display import Markdown
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rigl_nb import paths
from rigl_nb.claims import judge
from rigl_nb.claims.judge import Claim, Verdict
from rigl_nb.experiments import grids, inventory
from rigl_nb.report.figures.style import METHOD_STYLE, STYLE, Picture
from rigl_nb.report.figures.tables import NONE, SYMBOLS
from rigl_nb.report.sections import shared
from rigl_nb.report.sections.verdicts import Judged
from rigl_nb.runs.store import Store

# The sentences of the report's summary, in plain words, by the claim's name.
HEADLINES = {
    "RigL over SET, all densities": "RigL is better than SET on CIFAR-10",
    "CIFAR-100: RigL over SET, all densities": "RigL is better than SET on CIFAR-100",
    "ERK over Random": "ERK is better than Random at equal density",
    "CIFAR-10: Random over ERK at equal FLOPs": "Random is better than ERK at equal FLOPs",
    "RigL 2× over RigL": "training twice as long helps RigL",
    "RigL 2× (ERK) over Pruning": "… and makes it better than Pruning at 0.1",
    "RigL at 0.5 as good as Dense": "RigL at density 0.5 is as good as Dense",
    "tuned like the reference": "tuned α and ΔT are as good as 0.3 and 100",
    "CIFAR-10: redistribution over RigL": "redistribution helps RigL (Random)",
}
REACH = 1.6  # points of accuracy to each side; an interval that goes beyond ends in an arrow
HOLDS = "#DCEFE6"
SOURCES = {
    "printed": {"color": "black", "marker": "o", "markerfacecolor": "white"},
    "paper": {"color": METHOD_STYLE["RigL"]["color"], "marker": "o"},
    "quick": {"color": "0.6", "marker": "s"},
}


@dataclass(frozen=True)
class Headline:
    """A central claim: its words, its section, and what each source of numbers says; None where it says nothing."""

    words: str
    section: str
    claim: Claim
    printed: Verdict | None
    paper: Verdict | None
    quick: Verdict | None  # over those of its cells that have runs; it judges nothing


def answer(boards: Mapping[str, Judged]) -> Markdown:
    """What the printed values and our runs say about all claims, and how much of the evidence is there."""
    ours = [verdict.verdict for board in boards.values() for verdict in board.ours]
    printed = [verdict.verdict for board in boards.values() for verdict in board.published]
    there = ", ".join(f"{present:,} of {total:,} `{name}`" for name, (present, total) in totals().items())
    return Markdown(
        f"**The printed numbers** decide part of the report's {len(ours)} claims: {_counted(printed)}; the others are "
        f"not printed. **Our own trainings** so far: {there}. Only `paper` runs, as long as the report's, can judge a "
        f"claim: {_counted(ours)}; {ours.count(judge.NOT_ENOUGH)} still lack runs."
    )


def _counted(words: Sequence[str]) -> str:
    shown = (judge.REPRODUCED, judge.CONTRADICTED, judge.INCONCLUSIVE)
    return ", ".join(f"{words.count(word)} {word}" for word in shown)


def covered(claim: Claim, runs: pd.DataFrame) -> Claim | None:
    """The claim over only those pairs of cells that share at least two seeds in `runs`; None where none does."""
    alone = (replace(claim, pairs=(pair,)) for pair in claim.pairs)
    pairs = tuple(one.pairs[0] for one in alone if judge.judge(one, runs).verdict != judge.NOT_ENOUGH)
    return replace(claim, pairs=pairs) if pairs else None


def headlines(boards: Mapping[str, Judged]) -> list[Headline]:
    """The central claims, in the order of HEADLINES, from the boards of all sections (`verdicts.judged`)."""
    found = {}
    for name, board in boards.items():
        printed = {verdict.claim: verdict for verdict in board.published}
        for verdict in board.ours:
            if (claim := verdict.claim).name in HEADLINES:
                paper = None if verdict.verdict == judge.NOT_ENOUGH else verdict
                runs = shared.evidence(name)["quick"]
                part = covered(claim, runs) if len(runs) else None
                quick = judge.judge(part, runs) if part else None
                words = HEADLINES[claim.name]
                found[claim.name] = Headline(words, shared.number(name), claim, printed.get(claim), paper, quick)
    return [found[name] for name in HEADLINES if name in found]


@rc_context(STYLE)
def forest(lines: Sequence[Headline]) -> Figure:
    """A line for each claim: difference in points with its 95 % interval, from every source that has one.

    The coloured band of a line is where its claim holds. ValueError: no claim.
    """
    if not lines:
        raise ValueError("no claim to draw: pass at least one")
    figure = Picture(1.05 + 0.245 * len(lines))
    axis = figure.subplots()
    for place, line in enumerate(lines):
        low, high = _band(line.claim)
        axis.barh(place, high - low, left=low, height=0.86, color=HOLDS, zorder=0)
        shown = {name: verdict for name in SOURCES if (verdict := getattr(line, name))}
        for step, (name, verdict) in enumerate(shown.items()):
            _interval(axis, place + 0.26 * (step - (len(shown) - 1) / 2), verdict, SOURCES[name])
    axis.axvline(0, color="0.4", linewidth=0.8, zorder=1)
    axis.set_yticks(range(len(lines)), [f"{line.words}  [{line.section}]" for line in lines])
    axis.set(xlim=(-REACH, REACH), ylim=(len(lines) - 0.5, -0.5), xlabel="difference in test accuracy (points)")
    axis.tick_params(axis="y", length=0, labelsize=8.5)
    axis.grid(axis="y", visible=False)
    _column(axis, "printed", [line.printed for line in lines], away=0)
    _column(axis, "our paper runs", [line.paper for line in lines], away=72)
    figure.legend(handles=_legend(lines), loc="outside lower center", ncols=4)
    return figure


def _column(axis: Axes, title: str, verdicts: Sequence[Verdict | None], away: float) -> None:
    """The verdicts in words, right of the intervals, `away` points from them."""
    words = [f"{SYMBOLS[one.verdict]} {one.verdict}" if one else f"{NONE} no runs yet" for one in verdicts]
    side = axis.twinx()
    side.set_yticks(range(len(words)), words, fontsize=8)
    side.set_ylim(axis.get_ylim())
    side.spines["right"].set(visible=False, position=("outward", away))
    side.tick_params(axis="y", length=0)
    side.grid(False)
    side.annotate(title, (1, 1.02), (away + 4, 0), "axes fraction", "offset points", fontsize=8, weight="bold")


def _band(claim: Claim) -> tuple[float, float]:
    """Where the difference must lie for the claim to hold, cut to what is drawn."""
    if claim.relation == "matches":
        return -claim.margin, claim.margin
    return (claim.margin if claim.relation == "outperforms" else -claim.margin), REACH


def _interval(axis: Axes, place: float, verdict: Verdict, look: Mapping) -> None:
    for end, beyond, marker in ((-REACH, verdict.low < -REACH, "<"), (REACH, verdict.high > REACH, ">")):
        if beyond:
            axis.plot(end * 0.985, place, marker=marker, markersize=5, color=look["color"], clip_on=False)
    axis.plot([max(verdict.low, -REACH), min(verdict.high, REACH)], [place] * 2, color=look["color"], linewidth=1.3)
    if abs(verdict.difference) <= REACH:
        axis.plot(verdict.difference, place, linestyle="", markersize=5, **look)


def _legend(lines: Sequence[Headline]) -> list:
    titles = {"printed": "printed, three seeds", "paper": "our paper runs", "quick": "our quick runs, no verdict"}
    there = [name for name in SOURCES if any(getattr(line, name) for line in lines)]
    handles = [Line2D([], [], label=titles[name], markersize=5, **SOURCES[name]) for name in there]
    return [*handles, Patch(color=HOLDS, label="here the claim holds")]


def runs() -> pd.DataFrame:
    """How many runs of every section are published, by profile: "49 of 49"; "–" where a profile has none."""
    rows = []
    for name in grids.SECTIONS:
        row = {"section": shared.number(name)}
        for profile, runs in _published(name).items():
            row[profile] = f"{runs.present} of {runs.total}" if runs.total else NONE
        rows.append(row)
    return pd.DataFrame(rows)


def totals() -> dict[str, tuple[int, int]]:
    """Published runs and all runs of each profile; a run that two sections need counts once."""
    sections = [_published(name) for name in grids.SECTIONS]
    whole = {profile: reduce(or_, (runs[profile] for runs in sections)) for profile in grids.EVIDENCE}
    return {profile: (runs.present, runs.total) for profile, runs in whole.items()}


def _published(name: str) -> dict[str, inventory.Inventory]:
    results = Store(paths.results())
    return {profile: inventory.take(name, profile, results) for profile in grids.EVIDENCE}
