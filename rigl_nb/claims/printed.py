"""Printed tables in the rows in which claims find their cells."""

import pandas as pd

from rigl_nb.experiments import grids


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
