"""Which runs exist, are missing or failed, by section and profile; and what to do next."""

import functools
import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rigl_nb.experiments import grids
from rigl_nb.experiments.profiles import PAPER_EPOCHS
from rigl_nb.runs import cost, engine
from rigl_nb.runs.record import Machine, Record, RecordError
from rigl_nb.runs.store import Store, finding
from rigl_nb.runs.terminal import PROGRAM, count, crash, fold
from rigl_nb.spec import RECIPES, RunSpec

REPORT_HOURS = {"cifar10": 2, "cifar100": 6}  # its summary
HEAD = f"{'section':8} {'profile':8} {'present':>8} {'missing':>8} {'failed':>7} {'time':>9}"


@dataclass(frozen=True)
class Inventory:
    """Runs by run id: those wanted, and those to train (also parents that only others want)."""

    wanted: dict[str, RunSpec] = field(default_factory=dict)
    todo: dict[str, RunSpec] = field(default_factory=dict)
    future: tuple[RunSpec, ...] = ()  # whose settings follow from results

    def __or__(self, other: "Inventory") -> "Inventory":
        """Both together; a run of both counts once."""
        return Inventory(self.wanted | other.wanted, self.todo | other.todo, self.future + other.future)

    @property
    def total(self) -> int:
        """How many runs are wanted, those to come included."""
        return len(self.wanted) + len(self.future)

    @property
    def missing(self) -> int:
        """How many of the wanted runs have no record."""
        return len(self.wanted.keys() & self.todo.keys()) + len(self.future)

    @property
    def present(self) -> int:
        """How many of the wanted runs have a record."""
        return self.total - self.missing

    def cost(self, records: Sequence[Record], machine: Machine) -> cost.Price | None:
        """What training the missing ones takes."""
        return cost.estimate([*self.todo.values(), *self.future], records, machine)


def take(section: str, profile: str, *stores: Store) -> Inventory:
    """The runs of a section in a profile, and those of them that no store holds."""
    plan = grids.plan(section, profile, finding(*stores))
    todo = engine.missing(plan.specs, *stores)
    by_id = ({spec.run_id: spec for spec in specs} for specs in (plan.specs, todo))
    return Inventory(*by_id, tuple(plan.future))


def together(profile: str, *stores: Store) -> Inventory:
    """The runs of all sections in a profile; a run that two sections need counts once."""
    return functools.reduce(operator.or_, (take(section, profile, *stores) for section in grids.SECTIONS))


def by_report(specs: Iterable[RunSpec], records: Iterable[Record]) -> bool:
    """Whether the report's own hours are the best that is known: for its networks, until a GPU has records."""
    theirs = all(s.data in REPORT_HOURS and s.model == RECIPES[s.data]["model"] for s in specs)
    return theirs and not any(record.execution["device"].startswith("cuda") for record in records)


def price(specs: Sequence[RunSpec], records: Sequence[Record]) -> str:
    """What training takes, in words; empty where nothing is to train, or nothing known."""
    if specs and by_report(specs, records):
        return f"{gpu_hours(specs):,.0f} GPU-hours, by the report's own"
    return str(cost.estimate(specs, records) or "")


def gpu_hours(specs: Iterable[RunSpec]) -> float:
    """What trainings took the report: 2 hours for one on CIFAR-10, 6 for one on CIFAR-100, on a GTX 1080."""
    return sum(REPORT_HOURS[spec.data] * spec.multiplier * spec.epochs / PAPER_EPOCHS for spec in specs)


def lines(
    sections: Collection[str], profiles: Iterable[str], local: Store, evidence: Store, machine: Machine
) -> list[str]:
    """The table, a row for each section and profile; then totals, failed runs and the next command."""
    damaged: list[RecordError] = []
    evidence, local = (replace(store, damaged=damaged.append) for store in (evidence, local))
    records = evidence.records() + local.records()
    tallies = {
        (section, profile): take(section, profile, local, evidence) for section in sections for profile in profiles
    }
    totals: dict[str, Inventory] = {}
    for (_, profile), runs in tallies.items():
        totals[profile] = totals.get(profile, Inventory()) | runs
    failed = _failed(totals, local)

    def row(section: str, profile: str, runs: Inventory) -> str:
        price = runs.cost(records, machine)
        known = price and price.told
        time = cost.duration(price.seconds) if known else "?" if runs.missing else "–"
        lost = len(failed.keys() & runs.todo.keys())
        return f"{section:8} {profile:8} {runs.present:8} {runs.missing:8} {lost:7} {time:>9}"

    table = [HEAD, *(row(*key, runs) for key, runs in tallies.items()), ""]
    table += [row("total", profile, runs) for profile, runs in totals.items()]
    table += ["", "A run of several sections counts once in the totals.", *_speed(tallies, records, machine)]
    table += [crash(run_id, reason, local.root) for run_id, reason in failed.items()]
    table += ["a failed run is tried again with the missing ones"] if failed else []
    table += [f"counts as missing: {text}" for text in dict.fromkeys(map(str, damaged))]
    return [fold(line) for line in [*table, _next(totals, sections)]]


def _failed(totals: Mapping[str, Inventory], local: Store) -> dict[str, str]:
    """The reasons of crashes, by run id."""
    todo = {run_id: spec for runs in totals.values() for run_id, spec in runs.todo.items()}
    return {run_id: reason for run_id, spec in todo.items() if (reason := local.failure(spec))}


def _speed(tallies: Mapping[tuple[str, str], Inventory], records: Sequence[Record], machine: Machine) -> list[str]:
    """What the times mean, where any are shown, and why others are not."""
    prices = [(profile, runs.cost(records, machine)) for (_, profile), runs in tallies.items() if runs.missing]
    known = [price for _, price in prices if price and price.told]
    unknown = [profile for profile, price in prices if not price or not price.told]
    said = [f"training the missing runs one after the other, as measured on {known[0].hardware}"] if known else []
    if unknown:
        said.append(f"? no record tells; {PROGRAM} run --profile {unknown[0]} --dry-run measures")
    return [f"time: {'; '.join(said)}"] if said else []


def _next(totals: Mapping[str, Inventory], sections: Collection[str]) -> str:
    """What to do next: the smallest profile that lacks runs."""
    only = "" if set(sections) == set(grids.SECTIONS) else f" --sections {' '.join(sections)}"
    for profile, runs in totals.items():
        if runs.missing:
            return f"next: {PROGRAM} run --profile {profile}{only}  (trains {count(runs.missing, 'run')})"
    return f"next: {PROGRAM} report{only}  (makes the report of the published runs)"
