"""The report's experiments as lists of runs, by section and profile, most telling runs first."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from rigl_nb.methods import METHODS
from rigl_nb.spec import RunSpec

PUBLISHED = Path(__file__).parent / "published"
PAPER_STEPS, PAPER_EPOCHS = 88_000, 250
EVIDENCE = ("paper", "short", "quick")  # profiles whose records are published, strongest first


@dataclass(frozen=True)
class Row:
    """One row of a table, or one point of a figure: what is trained, but for the seed."""

    method: str
    init: str | None
    density: float
    multiplier: int = 1


@dataclass(frozen=True)
class Profile:
    """The same grid at another size: what stands in for the report's data and models, how long, which rows."""

    name: str
    about: str
    epochs: int
    seeds: tuple[int, ...] = (0, 1, 2)
    table_densities: tuple[float, ...] = (0.1, 0.2)
    figure_densities: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5)
    figure_seeds: tuple[int, ...] = (0, 1, 2)
    stand_in: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # report's data -> fields of a spec

    def spec(self, data: str, row: Row, seed: int) -> RunSpec:
        """The run of a row and seed. Step constants keep their share of the training; N× and split do not enter."""
        fields = {"data": data} | dict(self.stand_in.get(data, {}))
        if row.method == "Lottery":
            fields["parent"] = self.spec(data, Row("Pruning", None, row.density), seed)
        base = RunSpec(method=row.method, init=row.init, density=row.density, seed=seed, epochs=PAPER_EPOCHS, **fields)
        total = self.epochs * base.steps_per_epoch
        steps = {name: getattr(base, name) for name in ("decay_every", "warmup", "prune_start")}
        scaled = {name: max(1, round(value * total / PAPER_STEPS)) for name, value in steps.items() if value}
        if base.delta_t:
            updates = math.floor(base.update_until * total) // 20 / 100
            scaled["delta_t"] = max(1, round(base.delta_t * min(1.0, updates)))
        return replace(base, epochs=self.epochs, multiplier=row.multiplier, **scaled)


SMALL = {"model": "wrn-10-1"}
PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "smoke",
            "scikit-learn's 8×8 digits, WRN-10-1, 40 epochs",
            epochs=40,
            seeds=(0,),
            table_densities=(0.1,),
            figure_densities=(0.1,),
            figure_seeds=(0,),
            stand_in={"cifar10": {"data": "digits"} | SMALL},
        ),
        Profile(
            "quick",
            "CIFAR-10, WRN-10-1, 3 epochs",
            epochs=3,
            table_densities=(0.1,),
            figure_densities=(0.1,),
            figure_seeds=(0,),
            stand_in={"cifar10": SMALL},
        ),
        Profile("short", "CIFAR-10, WRN-22-2, 25 epochs", epochs=25),
        Profile("paper", "CIFAR-10, WRN-22-2, 250 epochs: the report's training", epochs=250),
    )
}


def table2(profile: Profile) -> list[RunSpec]:
    """Table 2: WRN-22-2 on CIFAR-10, every row whose method exists here."""
    rows = [Row(r.method, r.init, r.density, r.multiplier) for r in published("table2_cifar10").itertuples()]
    kept = [row for row in rows if row.method in METHODS and row.density in (*profile.table_densities, 1.0)]
    return [profile.spec("cifar10", row, seed) for row in sorted(kept, key=_priority) for seed in profile.seeds]


def figure1(profile: Profile) -> list[RunSpec]:
    """Figure 1: accuracy across densities for Random, ERK, and twice the training."""
    rows = [Row("Dense", None, 1.0)]
    for density in profile.figure_densities:
        rows += [Row(method, init, density) for init in ("Random", "ERK") for method in ("Static", "SET", "RigL")]
        rows += [Row(method, "Random", density, 2) for method in ("Static", "SET", "RigL")]
        rows += [Row("RigL", "ERK", density, 2)]
    rows = sorted(rows, key=_priority)
    return [profile.spec("cifar10", row, seed) for row in rows for seed in profile.figure_seeds]


SECTIONS = {"05_1": (table2, figure1)}


def specs(section: str, profile: str, **filters: object) -> list[RunSpec]:
    """A section's runs in a profile, each once. Filters are fields of a spec, `method="RigL"`, `density=0.1`.

    Raises ValueError when a name is unknown or nothing of the section has a filter's value.
    """
    if section not in SECTIONS:
        raise ValueError(f"section {section!r} has no runs: sections with runs are {', '.join(SECTIONS)}")
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r} is unknown: allowed are {', '.join(PROFILES)}")
    found = [spec for grid in SECTIONS[section] for spec in grid(PROFILES[profile])]
    for name, value in filters.items():
        if name not in RunSpec.__dataclass_fields__:
            raise ValueError(f"filter {name!r} is unknown: allowed are {', '.join(RunSpec.__dataclass_fields__)}")
        there = {getattr(spec, name) for spec in found}
        found = [spec for spec in found if getattr(spec, name) == value]
        if not found:
            known = ", ".join(sorted(str(v) for v in there))
            raise ValueError(f"no run of section {section}, profile {profile}, has {name} {value!r}: there are {known}")
    return list({spec.run_id: spec for spec in found}.values())


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


def _priority(row: Row) -> tuple:
    """Dense first, then density 0.1, 0.2, the others; there the report's length first, a ticket after its Pruning."""
    density = {1.0: -1, 0.1: 0, 0.2: 1}.get(row.density, 2)
    return (density, row.multiplier, row.method == "Lottery", row.method == "Small-Dense")
