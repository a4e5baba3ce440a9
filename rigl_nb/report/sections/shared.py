"""What the notebooks of the report's sections share: their evidence, and training on this machine."""

from collections.abc import Iterable, Mapping

import pandas as pd
from IPython.display import Markdown, display

from rigl_nb import paths
from rigl_nb.data.sources import SOURCES
from rigl_nb.experiments import grids, inventory
from rigl_nb.report.figures import live, tables
from rigl_nb.report.sections import characters
from rigl_nb.runs import engine, progress
from rigl_nb.runs.record import Record
from rigl_nb.runs.store import Store, finding
from rigl_nb.runs.terminal import count
from rigl_nb.spec import RECIPES, RunSpec


def number(name: str) -> str:
    """A section's number as the report writes it: "5.1" for "05_1"."""
    return name.lstrip("0").replace("_", ".")


def sizes(name: str) -> str:
    """What each profile trains of the section, a line each."""
    lines, found = [], {profile: grids.plan(name, profile) for profile in grids.PROFILES}
    text = any(SOURCES[spec.data].text for plan in found.values() for spec in plan.specs)
    for profile, plan in found.items():
        first, runs = next(iter(plan.specs), None), len(plan.specs) + len(plan.future)
        about = words(grids.PROFILES[profile], {spec.data for spec in plan.specs})
        if text:  # a profile's words are about images
            about = f"{first.data}, {first.model}, {count(first.total_epochs, 'epoch')}" if first else "nothing"
        lines.append(f"{profile:6} {about}, {runs} runs")
    return "\n".join(lines)


def words(profile: grids.Profile, data: set[str]) -> str:
    """The profile's words, without those on data that are not here."""
    others = {name for name, short in grids.DATA.items() if data and short not in data}
    return "; ".join(part for part in profile.about.split("; ") if part.partition(",")[0] not in others)


def plans(name: str, profiles: Iterable[str] = grids.EVIDENCE) -> dict[str, grids.Plan]:
    """The section's runs in each profile that counts as evidence, as far as published records decide them."""
    return {profile: grids.plan(name, profile, Store(paths.results()).find) for profile in profiles}


def evidence(name: str, profiles: Iterable[str] = grids.EVIDENCE) -> dict[str, pd.DataFrame]:
    """The section's published runs, by profile, one row each; a run without a record has no numbers."""
    results = Store(paths.results())
    return {profile: results.frame(plan.specs) for profile, plan in plans(name, profiles).items()}


def records(name: str) -> dict[str, list[Record]]:
    """The section's published records, by profile, in the order of its grids."""
    find = Store(paths.results()).find
    return {profile: [r for spec in plan.specs if (r := find(spec))] for profile, plan in plans(name).items()}


def typical(name: str) -> list[Record]:
    """Records of five rows at density 0.1, of the strongest profile that has most of these rows."""
    rows, of = ("Dense", "Static", "SET", "RigL", "RigL (ERK)"), records(name).values()
    chosen = [[r for r in found if r.spec.label in rows and r.spec.density in (0.1, 1.0)] for found in of]
    return max(chosen, key=lambda found: len({r.spec.label for r in found}))  # of equals, the first


def banner(name: str) -> Markdown:
    """The share of runs present in each profile, what the rest costs, and the command that trains it."""
    results = Store(paths.results())
    known, found = results.records(), plans(name)
    frames = {profile: results.frame(plan.specs) for profile, plan in found.items()}
    missing = {profile: [*engine.missing(plan.specs, results), *plan.future] for profile, plan in found.items()}
    costs = {profile: inventory.price(specs, known) for profile, specs in missing.items()}
    return Markdown(shares(frames, costs, name, {profile: len(plan.future) for profile, plan in found.items()}))


def shares(
    evidence: Mapping[str, pd.DataFrame],
    costs: Mapping[str, str] | None = None,
    section: str | None = None,
    future: Mapping[str, int] | None = None,
) -> str:
    """Share of runs present, one Markdown line per profile, with the command that trains the rest.

    `costs` says what the rest costs, by profile (`inventory.price`). `future` counts runs whose settings follow.
    """
    lines = []
    for name, runs in evidence.items():
        present, later = int(runs["present"].sum()), (future or {}).get(name, 0)
        line = f"- **{name}**: {f'{present} of {len(runs) + later}' if len(runs) + later else 'no'} runs"
        if present < len(runs) + later:
            price = f" ({costs[name]})" if costs and costs.get(name) else ""
            filters = f" --sections {section}" if section else ""
            line += f"; the rest{price}: `python -m rigl_nb reproduce --profile {name}{filters}`"
        lines.append(line)
    return "\n".join(lines)


def train(
    name: str, profile: str, filters: Mapping[str, object], workers: int | str = 1, interactive: bool = False
) -> pd.DataFrame:
    """Train what no record holds of a profile's runs, then return what this machine trained of them.

    `workers`: how many runs train at a time, or a cluster (`Cluster.parse`), whose dashboard is then named.
    An empty profile trains nothing. Stop it at any time: finished runs are kept, the others go on from checkpoints.
    `interactive`: bars and a Stop button for JupyterLab, else lines of text. Raises RuntimeError with the reasons when
    runs crash.
    """
    local, results = Store(paths.runs()), Store(paths.results())

    def ask() -> list[RunSpec]:
        return grids.plan(name, profile, finding(local, results), **filters).specs if profile else []

    panel = live.Panel() if interactive else None
    watched = {"show": panel.watch, "asked": panel.asked} if panel else {"show": progress.display}
    summary = engine.campaign(ask, local, [results], workers=workers, **watched)
    if summary.failed:
        raise RuntimeError(f"{len(summary.failed)} runs failed: {summary.failed}")
    if summary.left:
        print(f"stopped: {count(summary.left, 'run')} left, the same cell goes on from here")
    return local.frame(ask())


def show(here: pd.DataFrame, published: Mapping[str, pd.DataFrame] | None = None) -> None:
    """The runs of this machine, a table for each network.

    `published`: printed values by data. They stand beside runs of that data and of the report's network for it, only.
    """
    for (data, model), part in here.groupby(["data", "model"], sort=False):
        if part["test_bits"].any():
            display(characters.table({"here": part}, f"live-{model}", caption=f"On this machine: {model}. No verdict."))
        elif part["present"].any():
            printed = (published or {}).get(data) if RECIPES[data]["model"] == model else None
            table = tables.live(part, printed, uuid=f"live-{model}")
            if published and printed is None:
                table.set_caption(f"{table.caption} The report has no numbers for this data and network.")
            display(table)
    if not here["present"].any():
        print("No run was trained here: none is asked for, or all are published.")
