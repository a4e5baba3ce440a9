"""Printed tables in the rows in which claims find their cells."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from rigl_nb.claims.claim import Cell
from rigl_nb.experiments import grids

ROUNDING = 0.051  # a mean of three decimals and one of one decimal may be the same


def table2() -> pd.DataFrame:
    """Table 2, and the reference column of Table 4, whose RigL at density 0.5 Table 2 does not print."""
    tuning = grids.published("table4_tuning")
    reference = tuning[["init", "density"]].assign(
        method="RigL",
        multiplier=1,
        accuracy_mean=tuning["reference_mean"],
        accuracy_std=tuning["reference_std"],
    )
    key = ["method", "init", "multiplier", "density"]
    both = pd.concat([grids.published("table2_cifar10"), reference], ignore_index=True)
    return both.drop_duplicates(key, ignore_index=True)


def table3() -> pd.DataFrame:
    """Table 3, whose data is CIFAR-100."""
    return grids.published("table3_cifar100").assign(data="cifar100")


def again(cell: Cell, table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each other value that the report prints of a cell: its words, and the table with it in the cell's place."""
    here = cell.rows(table)
    if len(here) != 1:
        return
    other = cell.rows(everywhere())
    differs = ~np.isclose(other["accuracy_mean"].to_numpy(float), here["accuracy_mean"].item(), rtol=0, atol=ROUNDING)
    for row in other[differs].drop_duplicates("accuracy_mean").itertuples():
        changed, names = table.copy(), ["accuracy_mean", "accuracy_std"]
        changed.loc[here.index, names] = [getattr(row, name) for name in names]
        yield f"{row.accuracy_mean:g} for {cell.label} ({row.table})", changed


def everywhere() -> pd.DataFrame:
    """All printed test accuracies of trainings with the report's hyperparameters, and the `table` that prints them."""
    table4 = grids.published("table4_tuning")
    table4 = table4.rename(columns={"reference_mean": "accuracy_mean", "reference_std": "accuracy_std"})
    found = {
        "Table 2": grids.published("table2_cifar10").assign(data="cifar10"),
        "Table 3": table3(),
        "Table 4": table4.assign(method="RigL", multiplier=1, data="cifar10"),
    }
    for name, csv in {"Table 5": "table5_redistribution", "Figure 3": "figure3_flops"}.items():
        rows = grids.published(csv)
        found[name] = rows.assign(multiplier=1, data=rows["dataset"].map(grids.DATA))
    random = found["Figure 3"]["init"] == "Random"  # those of ERK have the same cost, and another density
    points = found["Figure 3"][random].rename(columns={"budget_density": "density"})
    found["Figure 3"] = points.assign(method="RigL")
    columns = ["method", "init", "density", "multiplier", "data", "accuracy_mean", "accuracy_std"]
    return pd.concat([rows[columns].assign(table=name) for name, rows in found.items()], ignore_index=True)
