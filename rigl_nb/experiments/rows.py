"""Rows of a table as runs: which it prints, and in what order they are trained."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from rigl_nb.experiments.profiles import Profile, Row
from rigl_nb.spec import RunSpec

PUBLISHED = Path(__file__).parent / "published"


def published(name: str) -> pd.DataFrame:
    """The report's own values, `published/<name>.csv`; an empty `init` is None."""
    file = PUBLISHED / f"{name}.csv"
    if not file.exists():
        known = sorted(f.stem for f in PUBLISHED.glob("*.csv"))
        raise ValueError(f"published values {name!r} are unknown: there are {', '.join(known)}")
    frame = pd.read_csv(file)
    if "init" in frame:
        frame["init"] = frame["init"].astype(object).where(frame["init"].notna(), None)
    return frame


def printed(table: str, name: str) -> Iterator[Row]:
    """The rows of a printed table, on the data of that name."""
    for row in published(table).itertuples():
        yield Row(row.method, row.init, row.density, row.multiplier, data=name)


def chosen(rows: Iterable[Row], densities: tuple[float, ...]) -> list[Row]:
    """The rows that are dense or at one of the densities."""
    return [row for row in rows if row.density in (*densities, 1.0)]


def runs(profile: Profile, rows: Iterable[Row], seeds: tuple[int, ...] | None = None) -> list[RunSpec]:
    """The runs of the rows that the profile takes, with its own seeds where none are given."""
    rows = sorted(filter(profile.takes, rows), key=_priority)
    return [profile.spec(row, seed) for row in rows for seed in (profile.seeds if seeds is None else seeds)]


def close_first(profile: Profile, rows: list[Row], close: tuple[int, ...], others: tuple[int, ...]) -> list[RunSpec]:
    """RigL and SET at the report's length, which are close, with seeds of their own; then the other rows."""
    first = [row for row in rows if row.method in ("RigL", "SET") and row.multiplier == 1]
    return runs(profile, first, close) + runs(profile, (row for row in rows if row not in first), others)


def _priority(row: Row) -> tuple:
    """CIFAR-10, then Dense, density 0.1, 0.2, the others; there the report's length first, a child after its parent."""
    density = {1.0: -1, 0.1: 0, 0.2: 1}.get(row.density, 2)
    child = row.parent is not None or row.method == "Lottery"
    return (row.data != "cifar10", density, row.multiplier, child, row.method == "Small-Dense")
