"""The report's experiments as lists of runs, by section and profile, most telling runs first."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from rigl_nb import data, flops, models
from rigl_nb.distributions import DISTRIBUTIONS
from rigl_nb.methods import METHODS
from rigl_nb.report.profiles import EVIDENCE, PROFILES, Profile, Row
from rigl_nb.spec import RunSpec

__all__ = ["EVIDENCE", "PROFILES", "SECTIONS", "Profile", "Row", "published", "specs"]

PUBLISHED = Path(__file__).parent / "published"
DATA = {"CIFAR-10": "cifar10", "CIFAR-100": "cifar100"}  # by their names in the published tables
BUDGETS = (0.1, 0.2, 0.5)  # densities of Random whose FLOPs ERK has to match (Figure 3)


def table1(profile: Profile) -> list[RunSpec]:
    """Table 1: trained on all 50,000 images, none held out to validate."""
    rows = [Row(r.method, r.init, r.density, validation=0) for r in published("table1").itertuples()]
    return _runs(profile, _chosen(rows, profile.figure_densities), profile.figure_seeds)


def table2(profile: Profile) -> list[RunSpec]:
    """Table 2: Wide ResNet on CIFAR-10."""
    return _runs(profile, _chosen(_printed("table2_cifar10", "cifar10"), profile.table_densities))


def table3(profile: Profile) -> list[RunSpec]:
    """Table 3: ResNet-50 on CIFAR-100; and tickets at density 0.5, for what the text says of lower sparsities."""
    rows = _chosen(_printed("table3_cifar100", "cifar100"), profile.table_densities)
    if 0.5 in profile.figure_densities:
        rows += [Row(method, None, 0.5, data="cifar100") for method in ("Pruning", "Lottery")]
    return _runs(profile, rows)


def densities(profile: Profile, name: str) -> list[RunSpec]:
    """Figure 1, and the figure beside Table 3: accuracy across densities for Random, ERK, and longer training."""
    rows = [Row("Dense", None, 1.0, data=name)]
    longer = ("Static", "SET", "RigL") if name == "cifar10" else ("RigL",)
    for density in profile.figure_densities:
        three = [(method, init, 1) for init in ("Random", "ERK") for method in ("Static", "SET", "RigL")]
        more = [(method, "Random", 2) for method in longer] + [("RigL", "ERK", 2)]
        more += [("RigL", "Random", 3)] if name == "cifar100" else []
        rows += [Row(method, init, density, times, data=name) for method, init, times in three + more]
    return _runs(profile, rows, profile.figure_seeds)


def figure3(profile: Profile) -> list[RunSpec]:
    """Figure 3: RigL at equal FLOPs, ERK at the density whose prediction costs what Random's does."""
    rows = []
    for name in DATA.values():
        if name in profile.data:
            budgets = [budget for budget in BUDGETS if budget in (*profile.table_densities, *profile.figure_densities)]
            rows += [Row("RigL", "Random", budget, data=name) for budget in budgets]
            rows += [Row("RigL", "ERK", matched(profile, name, budget), data=name) for budget in budgets]
    return _runs(profile, rows, profile.figure_seeds)


def table5(profile: Profile) -> list[RunSpec]:
    """Table 5: redistribution; and RigL from the final masks of RigL-SM, or from their layer densities alone."""
    rows = []
    for name in DATA.values():
        for density in profile.table_densities:
            for init in ("Random", "ERK"):
                moved = [Row(method, init, density, data=name) for method in ("RigL", "RigL-SG", "RigL-SM")]
                again = [Row("RigL", kind, density, parent=moved[-1], data=name) for kind in ("Mask", "Densities")]
                rows += moved + again
    return _runs(profile, rows, profile.figure_seeds)


SECTIONS = {
    "04": (table1,),
    "05_1": (table2, functools.partial(densities, name="cifar10")),
    "05_2": (table3, functools.partial(densities, name="cifar100")),
    "06_1": (figure3,),
    "06_2": (table5,),
}


def matched(profile: Profile, name: str, budget: float) -> float:
    """The density at which ERK's prediction costs what Random's does at density `budget`, to a millionth.

    In the network that the profile trains in place of the report's.
    """
    spec = profile.spec(Row("Dense", None, 1.0, data=name), seed=0)
    return _matched(spec.model, spec.data, budget)


@functools.cache
def _matched(model: str, name: str, budget: float) -> float:
    source = data.SOURCES[name]
    network = models.build(model, source.classes, channels=source.shape[0])
    cost = flops.layer_flops(network, source.shape)

    def price(init: str, density: float) -> float:
        covered = models.maskable(network, first_layer=init != "Random")
        shapes = {layer: tuple(weight.shape) for layer, weight in covered.items()}
        return flops.weighted(cost, DISTRIBUTIONS[init](shapes, density))

    low, high, target = 0.0, 1.0, price("Random", budget)
    while high - low > 1e-9:  # the cost grows with the density
        middle = (low + high) / 2
        low, high = (middle, high) if price("ERK", middle) < target else (low, middle)
    return round(high, 6)


def specs(section: str, profile: str, **filters: object) -> list[RunSpec]:
    """A section's runs in a profile, each once. Filters are fields of a spec, `method="RigL"`, `density=0.1`.

    Raises ValueError when a name is unknown or nothing of the section has a filter's value.
    """
    if section not in SECTIONS:
        raise ValueError(f"section {section!r} has no runs: sections with runs are {', '.join(SECTIONS)}")
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r} is unknown: allowed are {', '.join(PROFILES)}")
    found = [spec for grid in SECTIONS[section] for spec in grid(PROFILES[profile])]
    return filtered(found, f"section {section}, profile {profile},", filters)


def filtered(found: list[RunSpec], where: str, filters: Mapping[str, object]) -> list[RunSpec]:
    """The runs that have every filter's value, each once; ValueError says which values there are `where`."""
    for name, value in filters.items():
        if name not in RunSpec.__dataclass_fields__:
            raise ValueError(f"filter {name!r} is unknown: allowed are {', '.join(RunSpec.__dataclass_fields__)}")
        there = {getattr(spec, name) for spec in found}
        found = [spec for spec in found if getattr(spec, name) == value]
        if not found:
            known = ", ".join(sorted(str(v) for v in there))
            raise ValueError(f"no run of {where} has {name} {value!r}: there are {known}")
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


def _printed(table: str, name: str) -> Iterator[Row]:
    for row in published(table).itertuples():
        yield Row(row.method, row.init, row.density, row.multiplier, data=name)


def _chosen(rows: Iterable[Row], densities: tuple[float, ...]) -> list[Row]:
    """The rows whose method exists here, dense or at one of the densities."""
    return [row for row in rows if row.method in METHODS and row.density in (*densities, 1.0)]


def _runs(profile: Profile, rows: Iterable[Row], seeds: tuple[int, ...] | None = None) -> list[RunSpec]:
    rows = sorted((row for row in rows if row.data in profile.data), key=_priority)
    return [profile.spec(row, seed) for row in rows for seed in seeds or profile.seeds]


def _priority(row: Row) -> tuple:
    """CIFAR-10, then Dense, density 0.1, 0.2, the others; there the report's length first, a child after its parent."""
    density = {1.0: -1, 0.1: 0, 0.2: 1}.get(row.density, 2)
    child = row.parent is not None or row.method == "Lottery"
    return (row.data != "cifar10", density, row.multiplier, child, row.method == "Small-Dense")
