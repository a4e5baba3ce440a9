"""The report's experiments as lists of runs, by section and profile, most telling runs first."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rigl_nb.experiments import language, structured, studies
from rigl_nb.experiments.equal_flops import matched
from rigl_nb.experiments.profiles import EVIDENCE, PROFILES, Profile, Row
from rigl_nb.experiments.rows import PUBLISHED, chosen, close_first, printed, published, runs
from rigl_nb.experiments.studies import Find, Study, Values
from rigl_nb.spec import RunSpec

__all__ = ["EVIDENCE", "PROFILES", "PUBLISHED", "SECTIONS", "Plan", "Profile", "Row", "plan", "published", "specs"]

DATA = {"CIFAR-10": "cifar10", "CIFAR-100": "cifar100"}  # by their names in the published tables
BUDGETS = (0.1, 0.2, 0.5)  # densities of Random whose FLOPs ERK has to match (Figure 3)
RATES, FAST = (0.1, 0.05, 0.01, 0.005), 0.2  # learning rates of Figure 2, and the one that does not converge
PAIRS = ((0.3, 100), (0.4, 200), (0.4, 500), (0.5, 750))  # of α and ΔT, in Figure 2
TUNED = {"alpha": (0.1, 0.6, 0.001), "delta_t": (50, 1000, 50)}  # ranges and steps of Table 4's search
SPREAD = {"exponent": (-0.5, 1.5, 0.01)}


def table1(profile: Profile) -> list[RunSpec]:
    """Table 1: trained on all 50,000 images, none held out to validate."""
    rows = [Row(r.method, r.init, r.density, fields={"validation": 0}) for r in published("table1").itertuples()]
    return runs(profile, chosen(rows, profile.figure_densities), profile.figure_seeds)


def table2(profile: Profile) -> list[RunSpec]:
    """Table 2: Wide ResNet on CIFAR-10; where RigL and SET, which are close, get more seeds, they come first."""
    rows = chosen(printed("table2_cifar10", "cifar10"), profile.table_densities)
    if not profile.more_seeds:
        return runs(profile, rows)
    return close_first(profile, rows, (*profile.seeds, *profile.more_seeds), profile.seeds)


def table3(profile: Profile) -> list[RunSpec]:
    """Table 3: ResNet-50 on CIFAR-100; and tickets at density 0.5, for what the text says of lower sparsities."""
    rows = chosen(printed("table3_cifar100", "cifar100"), profile.table_densities)
    if 0.5 in profile.figure_densities:
        rows += [Row(method, None, 0.5, data="cifar100") for method in ("Pruning", "Lottery")]
    if profile.other_seeds is None:
        return runs(profile, rows)
    return close_first(profile, rows, profile.seeds, profile.other_seeds)


def densities(profile: Profile, name: str) -> list[RunSpec]:
    """Figure 1, and the figure beside Table 3: accuracy across densities for Random, ERK, and longer training."""
    rows = [Row("Dense", None, 1.0, data=name)]
    longer = ("Static", "SET", "RigL") if name == "cifar10" else ("RigL",)
    for density in profile.figure_densities:
        three = [(method, init, 1) for init in ("Random", "ERK") for method in ("Static", "SET", "RigL")]
        more = [(method, "Random", 2) for method in longer] + [("RigL", "ERK", 2)]
        more += [("RigL", "Random", 3)] if name == "cifar100" else []
        rows += [Row(method, init, density, times, data=name) for method, init, times in three + more]
    return runs(profile, rows, profile.figure_seeds)


def figure3(profile: Profile) -> list[RunSpec]:
    """Figure 3: RigL at equal FLOPs, ERK at the density whose prediction costs what Random's does."""
    rows = []
    for name in DATA.values():
        if name in profile.data:
            budgets = [budget for budget in BUDGETS if budget in (*profile.table_densities, *profile.figure_densities)]
            rows += [Row("RigL", "Random", budget, data=name) for budget in budgets]
            rows += [Row("RigL", "ERK", matched(profile, name, budget), data=name) for budget in budgets]
    return runs(profile, rows)


def table5(profile: Profile) -> list[RunSpec]:
    """Table 5: redistribution; and RigL from the final masks of RigL-SM, or from their layer densities alone.

    The front page's claim about it, of Random on CIFAR-10, has all seeds.
    """
    rows = []
    for name in DATA.values():
        for density in profile.table_densities:
            for init in profile.inits:
                moved = [Row(method, init, density, data=name) for method in ("RigL", "RigL-SG", "RigL-SM")]
                again = [Row("RigL", kind, density, parent=moved[-1], data=name) for kind in ("Mask", "Densities")]
                rows += moved + again
    asked = [row for row in rows if (row.data, row.init) == ("cifar10", "Random")]
    return runs(profile, asked) + runs(profile, rows, profile.figure_seeds)


def table4(profile: Profile) -> list[RunSpec]:
    """Table 4's column "reference": RigL with the hyperparameters of the original authors."""
    densities = [budget for budget in BUDGETS if budget in (*profile.table_densities, *profile.figure_densities)]
    return runs(profile, [Row("RigL", init, density) for init in ("Random", "ERK") for density in densities])


def tuning(profile: Profile) -> list[Study]:
    """Table 4's column "optimal": α and ΔT tuned for every initialisation and density."""
    both = [(init, density) for density in profile.tuned_densities for init in profile.inits]
    return [Study(f"{init} at {density:g}", functools.partial(_tuned, init, density), TUNED) for init, density in both]


def _tuned(init: str, density: float, values: Values) -> Row:
    return Row("RigL", init, density, fields=values)


def learning_rates(profile: Profile) -> list[RunSpec]:
    """Figure 2: learning rates and pairs of α and ΔT, the dense model's learning rates, and one above 0.1."""
    if not profile.tuned_densities:
        return []
    rates = RATES[: profile.grid]
    rows = [Row("Dense", None, 1.0, fields={"learning_rate": rate}) for rate in (*rates, FAST)]
    for density in profile.tuned_densities:
        for init in profile.inits:
            pairs = [(rate, *pair) for pair in PAIRS[: profile.grid] for rate in rates] + [(FAST, *PAIRS[0])]
            for settings in pairs:
                fields = dict(zip(("learning_rate", "alpha", "delta_t"), settings, strict=True))
                rows.append(Row("RigL", init, density, fields=fields))
    return runs(profile, rows, profile.search_seeds)


def distributions(profile: Profile) -> list[Study]:
    """Section 6.3: the exponent of ERK's ratio, searched at the cost of Random at density 0.1."""
    row = functools.partial(_spread, profile)
    return [Study("the distribution", row, SPREAD, first=({"exponent": 0.0}, {"exponent": 1.0}), finalists=True)]


def spread_reference(profile: Profile) -> list[RunSpec]:
    """Section 6.3: Random at density 0.1, whose cost the search keeps, with all of its seeds."""
    return runs(profile, [Row("RigL", "Random", BUDGETS[0])], (*profile.search_seeds, *profile.fresh_seeds))


def _spread(profile: Profile, values: Values) -> Row:
    exponent = values["exponent"]
    return Row("RigL", "ERK", matched(profile, "cifar10", BUDGETS[0], exponent), fields={"exponent": exponent})


def audit(profile: Profile) -> list[RunSpec]:
    """Section 8: RigL (ERK) with regrown weights wiped, and SET with coins for counts, beside what they should be."""
    rows = [Row("RigL", "ERK", d, fields={"published_code": c}) for d in (0.1, 0.5) for c in ((), ("zero-regrown",))]
    codes = ((), ("bernoulli",), ("bernoulli", "shared-error"))
    rows += [Row("SET", "Random", 0.1, fields={"published_code": code}) for code in codes]
    return runs(profile, rows)


@dataclass(frozen=True)
class Section:
    """What a section trains: grids of runs, and searches whose next trial follows from the results so far."""

    grids: tuple[Callable[[Profile], list[RunSpec]], ...] = ()
    studies: Callable[[Profile], list[Study]] = lambda profile: []


SECTIONS = {
    "04": Section((table1,)),
    "05_1": Section((table2, functools.partial(densities, name="cifar10"))),
    "05_2": Section((table3, functools.partial(densities, name="cifar100"))),
    "05_3": Section((table4, learning_rates), tuning),
    "06_1": Section((figure3,)),
    "06_2": Section((table5,)),
    "06_3": Section((spread_reference,), distributions),
    "08": Section((audit,)),
    "12": Section((language.runs,)),
    "13": Section((structured.runs,)),
}


@dataclass(frozen=True)
class Plan:
    """A section's runs as far as results decide them, each once; `future`: the others, whose settings are not known."""

    specs: list[RunSpec]
    future: list[RunSpec]


def plan(section: str, profile: str, find: Find = lambda spec: None, **filters: object) -> Plan:
    """A section's runs in a profile. Filters are fields of a spec, `method="RigL"`, `density=0.1`.

    `find` looks up the record of a run: the next trial of a study follows from the records of those before it.
    Raises ValueError when a name is unknown or nothing of the section has a filter's value.
    """
    if section not in SECTIONS:
        raise ValueError(f"section {section!r} has no runs: sections with runs are {', '.join(SECTIONS)}")
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r} is unknown: allowed are {', '.join(PROFILES)}")
    size = PROFILES[profile]
    found, future = [], []
    for study in SECTIONS[section].studies(size):
        run, left = studies.runs(study, size, find)
        found += run
        future += left
    found += [spec for grid in SECTIONS[section].grids for spec in _made(grid, size)]
    where = f"section {section}, profile {profile},"
    return Plan(filtered(found, where, filters), [spec for spec in future if has(spec, filters)])


def specs(section: str, profile: str, **filters: object) -> list[RunSpec]:
    """The runs of `plan` that follow from no result."""
    return plan(section, profile, **filters).specs


def filtered(found: list[RunSpec], where: str, filters: Mapping[str, object]) -> list[RunSpec]:
    """The runs that have every filter's value, each once; ValueError says which values there are `where`."""
    for name, value in filters.items():
        if name not in RunSpec.__dataclass_fields__:
            raise ValueError(f"filter {name!r} is unknown: allowed are {', '.join(RunSpec.__dataclass_fields__)}")
        there = {getattr(spec, name) for spec in found}
        found = [spec for spec in found if has(spec, {name: value})]
        if not found:
            known = sorted(map(str, there - {None})) + [f"runs without {name}"] * (None in there)
            there_are = ", ".join(known) or "no runs at all, choose another section or profile"
            raise ValueError(f"no run of {where} has {name} {value!r}: there are {there_are}")
        where += f" {name} {value},"
    return list({spec.run_id: spec for spec in found}.values())


def has(spec: RunSpec, filters: Mapping[str, object]) -> bool:
    """Whether the run has every filter's value."""
    return all(getattr(spec, name) == value for name, value in filters.items())


@functools.cache  # a notebook asks for the same grids again and again, and a run finds its id only once
def _made(grid: Callable[[Profile], list[RunSpec]], profile: Profile) -> tuple[RunSpec, ...]:
    return tuple(grid(profile))
