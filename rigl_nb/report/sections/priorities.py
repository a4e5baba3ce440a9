"""Which trainings of the report's length decide what: the order of the campaign, and what each step of it costs."""

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from rigl_nb import paths
from rigl_nb.claims import judge
from rigl_nb.claims.claim import Claim, places
from rigl_nb.experiments import grids, inventory
from rigl_nb.report.sections.ladder import PRIMARY, Rung
from rigl_nb.report.sections.shared import number
from rigl_nb.runs import engine
from rigl_nb.runs.store import Store
from rigl_nb.spec import RunSpec

CLOSEST = "RigL over SET"  # the sentence that needs most seeds: at densities 0.1 and 0.2
ALSO = {"06_1": ("05_1", "05_2")}  # whose runs answer a section's claims, beside its own


def steps(rungs: Sequence[Rung]) -> pd.DataFrame:
    """The campaign in steps, most telling first: what each decides, its runs without a record, and their GPU-hours.

    A run counts where it is needed first, its parent with it. GPU-hours are the report's own, 2 and 6 a run.
    """
    results, done, rows, total = Store(paths.results()), set(), [], 0.0
    for words, specs in _steps(rungs):
        new = [spec for spec in engine.missing(specs, results) if spec.run_id not in done]
        done |= {spec.run_id for spec in new}
        hours = inventory.gpu_hours(new)
        total += hours
        if new:
            rows.append((words, len(new), hours, total))
    searched = [spec for section in ("05_3", "06_3") for spec in _later(section)]
    hours = inventory.gpu_hours(searched)
    rows.append(("later trials of the searches", len(searched), hours, total + hours))
    return pd.DataFrame(rows, columns=["step", "runs", "GPU-hours", "GPU-hours so far"])


def _steps(rungs: Sequence[Rung]) -> Iterator[tuple[str, list[RunSpec]]]:
    of = {rung.claim.name: rung for rung in rungs}
    yield f"{CLOSEST}, at densities 0.1 and 0.2", _specs([of[CLOSEST]])
    for name, words in PRIMARY.items():
        if of[name].section != "05_3":
            yield words, _specs([of[name]])
    for section in dict.fromkeys(rung.section for rung in rungs if rung.section != "05_3"):
        yield f"other claims of section {number(section)}", _specs(r for r in rungs if r.section == section)
    for section in grids.SECTIONS:
        yield f"what else section {number(section)} trains", grids.plan(section, judge.FULL).specs


def _specs(rungs: Iterable[Rung]) -> list[RunSpec]:
    """The runs of the claims' cells."""
    found: dict[str, RunSpec] = {}
    for rung in rungs:
        for section in (rung.section, *ALSO.get(rung.section, ())):
            found |= {spec.run_id: spec for spec in _of(rung.claim, section)}
    return list(found.values())


def _of(claim: Claim, section: str) -> list[RunSpec]:
    specs = grids.plan(section, judge.FULL).specs
    of = places(Store(paths.results()).frame(specs))
    return [specs[place] for cell in claim.cells for place in of.get(cell, [])]


def _later(section: str) -> list[RunSpec]:
    return grids.plan(section, judge.FULL, Store(paths.results()).find).future
