"""Places where the report's printed values, or its words and its values, do not fit together."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from rigl_nb.claims.claim import MATCH_MARGIN, Cell
from rigl_nb.experiments.grids import DATA, published


@dataclass(frozen=True)
class Inconsistency:
    """What is said or printed in one place, what another place says, and the notebook that looks into it."""

    where: str
    says: str
    but: str
    notebook: str


def found() -> tuple[Inconsistency, ...]:
    """All of them, read from the published values."""
    return (*_words(), *_tables())


def _words() -> Iterator[Inconsistency]:
    """A sentence against printed values."""
    yield Inconsistency("section 4.2", "points to Table 4 for training on 50,000 images", "that is Table 1", "04")
    for number, name in {2: "cifar10", 3: "cifar100"}.items():
        for row, rigl in _reversed(_table(number, name)):
            values = f"{_cell(row)}: {_accuracy(row)}, {_cell(rigl)}: {_accuracy(rigl)}"
            yield Inconsistency(f"Table {number}", "RigL over SET", values, f"05_{number - 1}")
    table1 = published("table1")
    off = (table1["accuracy_report"] - table1["accuracy_original"]).abs().groupby(table1["method"], sort=False).max()
    far = ", ".join(f"{method} {value:.1f}" for method, value in off.round(1).items() if value > MATCH_MARGIN)
    yield Inconsistency(
        "section 4.2", "matches the original with 50,000 images", f"off by more in Table 1: {far}", "04"
    )
    for number, name in {2: "cifar10", 3: "cifar100"}.items():
        for erk, random in _not_better(_table(number, name)):
            values = f"{_cell(erk)}: {_accuracy(erk)}, {_cell(random)}: {_accuracy(random)}"
            yield Inconsistency("section 6.1", "ERK over Random consistently", values, "06_1")
    figure3 = published("figure3_flops").set_index(["dataset", "budget_density", "init"])
    for (dataset, budget), pair in figure3.groupby(level=[0, 1], sort=False):
        random, erk = (pair.loc[dataset, budget, init]["accuracy_mean"] for init in ("Random", "ERK"))
        if random <= erk:
            values = f"{dataset} at {budget:g}: {random:.2f} and {erk:.2f}"
            yield Inconsistency("section 6.1", "Random over ERK at equal FLOPs", values, "06_1")


def _tables() -> Iterator[Inconsistency]:
    """A printed value against another one."""
    tables = {name: _table(number, name) for number, name in {2: "cifar10", 3: "cifar100"}.items()}
    table5 = published("table5_redistribution").assign(multiplier=1)
    for row in table5[table5["method"] == "RigL"].itertuples():
        same = Cell("RigL", row.init, row.density).rows(tables[DATA[row.dataset]])
        if len(same) and same["accuracy_mean"].item() != row.accuracy_mean:
            number = 2 if row.dataset == "CIFAR-10" else 3
            says = f"{_cell(row)}: {_accuracy(row)}"
            yield Inconsistency("Table 5", says, f"{_accuracy(same.iloc[0])} in Table {number}", "06_2")
    for (dataset, method, density), pair in table5.groupby(["dataset", "method", "density"], sort=False):
        two = pair[pair["init"].isin(["Random", "ERK"])]
        if len(two) == 2 and two[["accuracy_mean", "accuracy_std"]].nunique().eq(1).all():
            says = f"{method} at {density:g}, {dataset}: {_accuracy(two.iloc[0])}"
            yield Inconsistency("Table 5", says, "the same for Random and ERK", "06_2")
    figure3 = (
        published("figure3_flops").rename(columns={"budget_density": "density"}).assign(multiplier=1, method="RigL")
    )
    for point in figure3[figure3["init"] == "Random"].itertuples():
        same = Cell("RigL", "Random", point.density).rows(tables[DATA[point.dataset]])
        if len(same) and abs(same["accuracy_std"].item() - point.accuracy_std) > 0.006:
            says = f"RigL at {point.density:g}: std {point.accuracy_std:.2f}"
            yield Inconsistency("Figure 3", says, f"std {same['accuracy_std'].item():.2f} in Table 2", "06_1")
    table2 = tables["cifar10"]
    for density in (0.1, 0.2):
        usual, longer = (Cell("Static", "Random", density, times).rows(table2).iloc[0] for times in (1, 2))
        if (
            abs(usual["accuracy_mean"] - longer["accuracy_mean"]) < 0.1
            and usual["accuracy_std"] == longer["accuracy_std"]
        ):
            says = f"Static 2× at {density:g}: {_accuracy(longer)}"
            yield Inconsistency("Table 2", says, f"as Static, trained half as long: {_accuracy(usual)}", "05_1")
    for row in table2[table2["multiplier"] > 1].itertuples():
        usual = Cell(row.method, row.init, row.density).rows(table2)
        if len(usual) and abs(usual["test_flops"].item() - row.test_flops) > 0.02:
            says = f"{_cell(row)}: a prediction costs {row.test_flops:.2f}×"
            yield Inconsistency("Table 2", says, f"{usual['test_flops'].item():.2f}× when trained half as long", "03")
    original = published("table1").merge(published("original_cifar10_wrn22_2").query("multiplier == 1"))
    apart = (original["accuracy_original"] - original["accuracy"]).abs()
    says = "the original paper's accuracies"
    yield Inconsistency("Table 1", says, f"the original authors gave others, by up to {apart.max():.1f}", "04")


def _table(number: int, name: str) -> pd.DataFrame:
    return published(f"table{number}_{name}")


def _reversed(table: pd.DataFrame) -> Iterator[tuple]:
    """Rows of SET whose accuracy is above that of RigL with the same start, length and density."""
    for row in table[table["method"] == "SET"].itertuples():
        rigl = Cell("RigL", row.init, row.density, row.multiplier).rows(table)
        if len(rigl) and rigl["accuracy_mean"].item() < row.accuracy_mean:
            yield row, next(rigl.itertuples())


def _not_better(table: pd.DataFrame) -> Iterator[tuple]:
    """Rows of RigL (ERK) whose accuracy is not above that of RigL (Random) with the same length and density."""
    for row in table[(table["method"] == "RigL") & (table["init"] == "ERK")].itertuples():
        random = Cell("RigL", "Random", row.density, row.multiplier).rows(table)
        if len(random) and random["accuracy_mean"].item() >= row.accuracy_mean:
            yield row, next(random.itertuples())


def _cell(row) -> str:
    return Cell(row.method, row.init, row.density, row.multiplier).label


def _accuracy(row) -> str:
    mean = row.accuracy_mean
    return f"{mean:.{1 if round(mean, 1) == mean else 2}f} ± {row.accuracy_std:.2f}"
