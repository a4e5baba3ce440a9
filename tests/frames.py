"""Tables as `Store.frame` and the published files give them, from a few numbers per cell."""

import math
from dataclasses import asdict

import pandas as pd

from rigl_nb.claims.claim import Cell


def runs(accuracies: dict[Cell, list[float | None]], collapsed=(), flops=0.1048) -> pd.DataFrame:
    """One row per seed, absent where the accuracy is None; `collapsed` holds (cell, seed)."""
    rows = []
    for cell, values in accuracies.items():
        for seed, accuracy in enumerate(values):
            numbers = {
                "test_accuracy": accuracy,
                "train_flops": flops,
                "test_flops": 0.1,
                "seconds": 1800.0 * cell.multiplier,
            }
            present = accuracy is not None
            row = asdict(cell) | {"model": "wrn-10-1", "epochs": 40, "seed": seed, "present": present}
            row["config_id"] = f"{cell.data}_{cell.name}_{cell.density:g}"
            row["run_id"] = f"{row['config_id']}/seed-{seed}"
            row["collapsed"] = (cell, seed) in collapsed
            rows.append(row | (numbers if present else dict.fromkeys(numbers, math.nan)))
    return pd.DataFrame(rows)


def printed(values: dict[Cell, tuple[float, float]]) -> pd.DataFrame:
    """One row per cell: mean and standard deviation."""
    rows = [asdict(cell) | {"accuracy_mean": mean, "accuracy_std": std} for cell, (mean, std) in values.items()]
    return pd.DataFrame(rows).drop(columns="data")
