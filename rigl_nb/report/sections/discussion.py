"""Section 7: what the answers hang on, and what the full trainings can still decide."""

import math
from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from rigl_nb import paths
from rigl_nb.claims import judge, power, printed
from rigl_nb.claims.claim import Cell, places
from rigl_nb.claims.estimate import Estimate
from rigl_nb.claims.judge import Answer
from rigl_nb.claims.model import Printed
from rigl_nb.claims.spread import broken
from rigl_nb.experiments import grids
from rigl_nb.experiments.profiles import PROFILES, name_of
from rigl_nb.report.figures.board import ours
from rigl_nb.report.sections.ladder import PRIMARY, Rung
from rigl_nb.runs.record import Record
from rigl_nb.runs.store import Store


def readings(rungs: Iterable[Rung]) -> pd.DataFrame:
    """Printed answers that come out otherwise by another choice: of the variance, or of two contradicting values."""
    rows = []
    for rung in rungs:
        usual = rung.answers.get(judge.PRINTED)
        for words, answer in _others(rung) if usual and usual.pairs else ():
            if answer.outcome != _alone(usual):
                mine = f"{ours(usual)}, {_alone(usual)}"
                rows.append((rung.claim.name, mine, words, f"{ours(answer)}, {answer.outcome}"))
    return pd.DataFrame(rows, columns=["claim", "as printed, alone", "with", "then"])


def _alone(answer: Answer) -> str:
    """The outcome before the claims are tested together."""
    return judge.decide(answer.claim, answer.estimate, answer.pairs)[0]


def _others(rung: Rung) -> Iterator[tuple[str, Answer]]:
    if rung.table is None:
        return
    if Printed(rung.table).unequal:
        yield "one variance for all means", judge.by_print(rung.claim, Printed(rung.table, own=False))
    for cell in rung.claim.cells:
        for words, table in printed.again(cell, rung.table):
            yield words, judge.by_print(rung.claim, Printed(table))


def by_precision(records: Iterable[Record]) -> dict[tuple[str, str], tuple[Estimate, int]]:
    """By profile and network: how much better float32 is than bfloat16, and how many configurations were run in both.

    Least squares: each configuration has a mean, float32 adds the same to all, one variance of a run. Broken runs and
    texts are left out; so are networks that no configuration trained in both.
    """
    rows = []
    for record in records:
        if record.test_bits is None:
            spec, full = record.spec, record.execution["precision"] == "fp32"
            rows.append((name_of(spec), spec.model, spec.config_id, record.test_accuracy, full, record.collapsed))
    frame = pd.DataFrame(rows, columns=["profile", "model", "config_id", "accuracy", "fp32", "out"])
    found = {}
    for network, part in frame.groupby(["profile", "model"], sort=False):
        cells = part.groupby("config_id")
        kept = part[~(part["out"] | broken(part["accuracy"].to_numpy(), cells.ngroup().to_numpy()))]
        cells = kept.groupby("config_id")
        x, y = (kept[name] - cells[name].transform("mean") for name in ("fp32", "accuracy"))
        both, freedom = int((cells["fp32"].nunique() > 1).sum()), len(kept) - cells.ngroups - 1
        if both and freedom > 0:
            gain = float((x * y).sum() / (x**2).sum())
            variance = float(((y - gain * x) ** 2).sum() / freedom)
            found[network] = Estimate(gain, math.sqrt(variance / (x**2).sum()), freedom), both
    return found


def planned() -> dict[Cell, int]:
    """How many runs of the report's length each cell of its tables is to have."""
    found: dict[Cell, int] = {}
    for name in ("05_1", "05_2", "06_1", "06_2"):
        frame = Store(paths.results()).frame(grids.specs(name, judge.FULL))
        for cell, rows in places(frame).items():
            found[cell] = max(found.get(cell, 0), len(rows))
    return found


def prospects(rungs: Iterable[Rung], spread: Mapping[str, float]) -> pd.DataFrame:
    """How likely the planned runs support a claim, if the printed difference is true; `spread`: of a run, by data."""
    seeds, rows = planned(), []
    for rung in rungs:
        claim = rung.claim
        of = {cell: seeds.get(cell, len(PROFILES[judge.FULL].search_seeds)) for cell in claim.cells}
        gap = 0.0 if claim.relation == "matches" else rung.answers[judge.PRINTED].estimate.value
        data = "cifar100" if claim.cells[0].data == "cifar100" else "cifar10"
        chance = power.prospect(claim, spread[data], gap, of)
        rows.append((PRIMARY.get(claim.name, claim.name), len(claim.pairs), _range(of.values()), gap, chance))
    return pd.DataFrame(rows, columns=["claim", "pairs", "seeds", "true difference", "chance"])


def _range(values: Iterable[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"
