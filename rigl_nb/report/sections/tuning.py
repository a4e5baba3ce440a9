"""Section 5.3 from records: the searches for α and ΔT, the grid of learning rates, and what chance alone would give.

α and ΔT are the report's throughout; `scaled` is the ΔT that a shorter profile trains with.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from rigl_nb.claims import power
from rigl_nb.claims.claim import PUBLISHED_SEEDS, Cell
from rigl_nb.claims.statements.tuning import INITS, RATE, TUNED, at_rate
from rigl_nb.experiments import grids, studies
from rigl_nb.experiments.profiles import Profile, Row
from rigl_nb.report.figures import tables
from rigl_nb.runs.store import Store, finding
from rigl_nb.spec import RunSpec

CELL, SETTING = ["method", "init", "density"], ["trial", "config_id"]
OF_SETTING = [*SETTING, *CELL, "learning_rate", "alpha", "delta_t", "scaled"]
REFERENCE = grids.PAIRS[0]  # α and ΔT of the original authors


@dataclass(frozen=True)
class Runs:
    """A profile's runs of the section, one row each: Table 4's reference, the trials so far, the learning rates."""

    profile: Profile
    reference: pd.DataFrame
    trials: pd.DataFrame  # with the trial's number; the last trial of a search may still lack runs
    rates: pd.DataFrame

    @property
    def any(self) -> bool:
        """Whether a single run exists."""
        return any(frame["present"].any() for frame in (self.reference, self.trials, self.rates))


def collect(profile: Profile, *stores: Store) -> Runs:
    """The section's runs, each from the first store that holds it."""
    units = {_scaled(profile, delta_t): delta_t for _, delta_t in grids.PAIRS}
    tried = [_frame((), units, stores)]
    for study in grids.tuning(profile):
        for number, trial in enumerate(studies.trials(study, profile, finding(*stores)), start=1):
            own = {trial.specs[0].delta_t: trial.values["delta_t"]}
            tried.append(_frame(trial.specs, own, stores, number))
    reference, rates = (_frame(grid(profile), units, stores) for grid in (grids.table4, grids.learning_rates))
    return Runs(profile, reference, pd.concat(tried[1:] or tried, ignore_index=True), rates)


def _scaled(profile: Profile, delta_t: int) -> int:
    return profile.spec(Row("RigL", "ERK", 0.1, fields={"delta_t": delta_t}), seed=0).delta_t


def _frame(specs: Iterable[RunSpec], units: Mapping[int, int], stores: Iterable[Store], trial: int = 0) -> pd.DataFrame:
    specs = list(specs)
    found = [store.frame(specs).set_index("run_id") for store in stores]
    frame = found[0]
    for other in found[1:]:
        frame = frame.where(frame["present"], other)
    frame = frame.reset_index().assign(trial=trial, learning_rate=[spec.learning_rate for spec in specs])
    return frame.assign(scaled=frame["delta_t"], delta_t=frame["delta_t"].map(units))


def means(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per setting that all of its seeds have tried: accuracies (mean, std over seeds), n, collapsed runs."""
    ended = runs[runs.groupby(SETTING)["present"].transform("all").astype(bool)]
    numbers = ended.groupby(SETTING, sort=False).agg(
        validation=("validation_accuracy", "mean"),
        validation_std=("validation_accuracy", "std"),
        mean=("test_accuracy", "mean"),
        std=("test_accuracy", "std"),
        n=("present", "sum"),
        collapsed=("collapsed", "sum"),
    )
    return ended[OF_SETTING].drop_duplicates(SETTING).merge(numbers.reset_index(), on=SETTING)


def best(points: pd.DataFrame, by: str = "validation", of: Iterable[str] = CELL) -> pd.DataFrame:
    """Of every cell the row of `means` with the highest mean accuracy, the earlier of equal ones."""
    return points.loc[points.groupby(list(of), sort=False, dropna=False)[by].idxmax().astype(int)]


def counts(runs: Runs) -> pd.Series:
    """Trials that have ended, by initialisation and density."""
    cells = pd.MultiIndex.from_product([INITS, runs.profile.tuned_densities], names=CELL[1:])
    return means(runs.trials).groupby(CELL[1:]).size().reindex(cells, fill_value=0)


def table4(printed: pd.DataFrame, evidence: Mapping[str, Runs]) -> pd.DataFrame:
    """Table 4: a row per cell and source, in the printed columns, with n, the trials, and the ΔT trained with.

    Optimal is the trial with the best mean validation accuracy so far. A profile without runs gets no rows.
    """
    whole = grids.PROFILES["paper"].trials
    n = dict.fromkeys(("reference_n", "optimal_n"), PUBLISHED_SEEDS)
    parts = [printed.assign(source="published", trials=whole, of=whole, **n)]
    for name, runs in evidence.items():
        sides = {"reference": means(runs.reference), "optimal": best(means(runs.trials))}
        if any(len(points) for points in sides.values()):
            cells = runs.reference.drop_duplicates(CELL[1:]).set_index(CELL[1:]).index
            wide = counts(runs).reindex(cells, fill_value=0).rename("trials").to_frame()
            for side, points in sides.items():
                columns = points.set_index(CELL[1:])[["alpha", "delta_t", "scaled", "mean", "std", "n"]]
                wide = wide.join(columns.add_prefix(f"{side}_"))
            of = runs.profile.trials if runs.profile.tuned_densities else 0
            parts.append(wide.reset_index().assign(source=name, of=of))
    table = pd.concat(parts, ignore_index=True)
    place = table["init"].map(INITS.index) + table["density"]
    return table.iloc[place.argsort(kind="stable")].reset_index(drop=True)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The texts of `table4`."""
    rows = []
    for row in table.to_dict("records"):
        text = {"init": row["init"], "density": f"{row['density']:g}", "source": row["source"]}
        for side in ("reference", "optimal"):
            one = {name: row.get(f"{side}_{name}") for name in ("alpha", "delta_t", "scaled", "mean", "std", "n")}
            text |= {f"{side} (α, ΔT)": setting(one), f"{side}, test accuracy": accuracy(one)}
        difference = row["optimal_mean"] - row["reference_mean"]
        text["difference"] = tables.NONE if math.isnan(difference) else f"{difference:+.2f}"
        rows.append(text | {"trials": f"{row['trials']} of {row['of']}" if row["of"] else "no search"})
    return pd.DataFrame(rows)


def setting(row: Mapping) -> str:
    """Format "0.3, 100", with the ΔT that was trained with where that is another."""
    if pd.isna(row["alpha"]):
        return tables.NONE
    scaled = row.get("scaled")
    here = "" if pd.isna(scaled) or scaled == row["delta_t"] else f" (here {scaled:.0f})"
    return f"{row['alpha']:g}, {row['delta_t']:.0f}{here}"


def accuracy(row: Mapping) -> str:
    """Format "91.70 ± 0.18 (n = 3)"; a single run has no spread."""
    if pd.isna(row["mean"]):
        return tables.NONE
    spread = "" if pd.isna(row["std"]) else f" ± {row['std']:.2f}"
    collapsed = f", {row['collapsed']} collapsed" if row.get("collapsed") else ""
    return f"{row['mean']:.2f}{spread} (n = {row['n']:.0f}{collapsed})"


def luck(stds: Iterable[float], seeds: int, trials: int) -> float:
    """How far the best of equally good trials is expected above their mean, from the std of each over its seeds."""
    return power.expected_maximum(trials) * math.sqrt(fmean(std**2 for std in stds) / seeds)


def choices(runs: Runs) -> pd.DataFrame:
    """Per cell: the trial chosen by validation accuracy, the one chosen by test accuracy, and what chance does.

    `lead`: validation accuracy of the chosen trial above the mean of all, in points; `chance`: the lead expected if all
    settings were equally good, NaN with one seed. `flattery`: test accuracy of the choice by test above the other's.
    """
    points, rows = means(runs.trials), []
    for (_, init, density), part in points.groupby(CELL, sort=False):
        by = {name: part.loc[part[name].idxmax()] for name in ("validation", "mean")}
        row = {"init": init, "density": density, "trials": len(part)}
        row["lead"] = by["validation"]["validation"] - part["validation"].mean()
        row["chance"] = luck(part["validation_std"], int(part["n"].iloc[0]), len(part))
        row |= {"by_validation": setting(by["validation"]), "by_test": setting(by["mean"])}
        rows.append(row | {"flattery": by["mean"]["mean"] - by["validation"]["mean"]})
    columns = ["init", "density", "trials", "lead", "chance", "by_validation", "by_test", "flattery"]
    return pd.DataFrame(rows, columns=columns)


def claim_runs(runs: Runs) -> pd.DataFrame:
    """The runs that the claims compare; `data` says with which hyperparameters (statements.tuning).

    A cell has tuned runs when its search has ended, and runs of a learning rate, with the best α and ΔT there, when its
    grid has.
    """
    trials, grid = means(runs.trials), runs.rates[runs.rates["learning_rate"] <= RATE]
    over = trials.groupby(CELL)["trial"].transform("size") == runs.profile.trials
    whole = grid.groupby(CELL, dropna=False)["present"].transform("all").astype(bool)
    points = means(grid[whole])
    parts = [runs.reference, grid[(grid["method"] == "Dense") & (grid["learning_rate"] == RATE)]]
    parts += [_chosen(runs.trials, best(trials[over]), TUNED)]
    parts += [_chosen(grid, best(part), at_rate(rate)) for rate, part in points.groupby("learning_rate")]
    fast = runs.rates[runs.rates["learning_rate"] == grids.FAST]
    return pd.concat([*parts, fast.assign(data=at_rate(grids.FAST))], ignore_index=True)


def _chosen(runs: pd.DataFrame, points: pd.DataFrame, data: str) -> pd.DataFrame:
    return runs.merge(points[SETTING], on=SETTING).assign(data=data)


def printed_cells(printed: pd.DataFrame) -> pd.DataFrame:
    """The printed values of Table 4 in the rows that claims find their cells in."""
    sides = {"reference": grids.DATA["CIFAR-10"], "optimal": TUNED}
    rows = [
        printed[CELL[1:]].assign(
            method="RigL",
            multiplier=1,
            data=data,
            accuracy_mean=printed[f"{side}_mean"],
            accuracy_std=printed[f"{side}_std"],
        )
        for side, data in sides.items()
    ]
    return pd.concat(rows, ignore_index=True)


def fast(runs: Runs) -> pd.DataFrame:
    """Per cell: `means` at learning rate 0.1 and at 0.2, with α and ΔT of the reference."""
    points = means(runs.rates)
    same = points["alpha"].isna() | ((points["alpha"] == REFERENCE[0]) & (points["delta_t"] == REFERENCE[1]))
    points = points[same & points["learning_rate"].isin((RATE, grids.FAST))]
    return points.sort_values(["learning_rate"], kind="stable").reset_index(drop=True)


def shown_rates(points: pd.DataFrame) -> pd.DataFrame:
    """The texts of `fast`: a row per cell, a column per learning rate."""
    rows = []
    for (method, init, density), part in points.groupby(CELL, sort=False, dropna=False):
        name = Cell(method, None if pd.isna(init) else init).name
        row = {"method": name, "density": f"{density:g}"}
        rows.append(row | {f"η = {one['learning_rate']:g}": accuracy(one) for one in part.to_dict("records")})
    return pd.DataFrame(rows).fillna(tables.NONE)
