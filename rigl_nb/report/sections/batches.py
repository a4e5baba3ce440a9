"""What whole batches cost and how long they take on several devices, from the times of published runs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rigl_nb.experiments import grids, inventory
from rigl_nb.report.figures.style import METHOD_STYLE, STYLE, Picture, method_style
from rigl_nb.report.sections.shared import number
from rigl_nb.runs import cost
from rigl_nb.runs.record import Record
from rigl_nb.runs.schedule import Schedule, schedule
from rigl_nb.spec import RunSpec

UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds"))


@dataclass(frozen=True)
class Campaign:
    """Runs in the order of training, by name: what each is, how long it takes, and whose masks it waits for.

    `batches` are trained one after the other: the next one follows from the results of all before.
    """

    specs: Mapping[str, RunSpec]
    seconds: Mapping[str, float]
    parents: Mapping[str, str]
    batches: tuple[tuple[str, ...], ...]

    def on(self, devices: int) -> Schedule:
        """The schedule on so many devices."""
        turns, start = [], 0.0
        for batch in self.batches:
            plan = schedule({run: self.seconds[run] for run in batch}, devices, self.parents)
            turns += [replace(turn, begin=turn.begin + start, end=turn.end + start) for turn in plan.turns]
            start += plan.makespan
        return Schedule(tuple(turns), devices)


def timed(records: Iterable[Record]) -> tuple[list[Record], bool]:
    """The records whose times count, and whether a GPU made them.

    A GPU's where there is any; else those of one core in float32, the precision in which every CPU computes.
    """
    records = list(records)
    gpu = [record for record in records if record.execution["device"].startswith("cuda")]
    plain = [r for r in records if (r.execution["precision"], r.execution["threads"]) == ("fp32", 1)]
    return gpu or plain or records, bool(gpu)


def campaign(
    profile: str,
    records: Iterable[Record],
    sections: Sequence[str] = tuple(grids.SECTIONS),
    find: grids.Find = lambda spec: None,
) -> Campaign:
    """All runs of a profile, each once, as if none were there; its searches' next trials are later batches.

    As long as no GPU has records, the report's own networks take the report's own hours.

    `find` looks up records: a search that has ended asks for the runs that it did ask for, which may be fewer than it
    can ask for.
    """
    first, parents, later = {}, {}, defaultdict(dict)
    seeds = len(grids.PROFILES[profile].search_seeds)
    for section in sections:
        plan, seen = grids.plan(section, profile), Counter()
        for spec in plan.specs:
            if spec.parent:
                first.setdefault(spec.parent.run_id, spec.parent)
                parents[spec.run_id] = spec.parent.run_id
            first.setdefault(spec.run_id, spec)
        decided = grids.plan(section, profile, find)
        for place, spec in enumerate(spec for spec in decided.specs if spec not in plan.specs):
            later[place // seeds][spec.run_id] = spec
        for spec in decided.future:
            later[seen[spec.run_id] // seeds][f"{spec.run_id}, later {seen[spec.run_id]}"] = spec
            seen[spec.run_id] += 1
    new = [{name: spec for name, spec in later[n].items() if name not in first} for n in sorted(later)]
    batches = [batch for batch in (first, *new) if batch]
    specs = {name: spec for batch in batches for name, spec in batch.items()}
    records = timed(records)[0]
    if inventory.by_report(specs.values(), records):
        times = [cost.HOUR * inventory.gpu_hours([spec]) for spec in specs.values()]
    else:
        times = durations(specs.values(), records)
    seconds = dict(zip(specs, times, strict=True))
    return Campaign(specs, seconds, parents, tuple(map(tuple, batches)))


def durations(specs: Iterable[RunSpec], records: Iterable[Record]) -> list[float]:
    """Seconds of each run, at the median speed of like records."""
    specs, records = list(specs), list(records)
    rates = {
        kind: cost.estimate([one], records).seconds / cost.work(one)
        for kind, one in {cost.kind(spec): spec for spec in specs}.items()
    }
    return [cost.work(spec) * rates[cost.kind(spec)] for spec in specs]


def costs(profiles: Iterable[str], records: Iterable[Record], find: grids.Find = lambda spec: None) -> pd.DataFrame:
    """Runs of every section and their time on one device, by profile; "–" where a profile has none."""
    rows, records = [], list(records)
    for section in grids.SECTIONS:
        row = {"section": number(section)}
        for profile in profiles:
            found = campaign(profile, records, [section], find)
            row[f"{profile}: runs"] = str(len(found.specs) or "–")
            row[f"{profile}: time"] = cost.duration(sum(found.seconds.values())) if found.specs else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def makespans(campaigns: Mapping[str, Campaign], devices: Sequence[int]) -> pd.DataFrame:
    """How long whole profiles take on so many devices, and the share of the devices' time that is idle."""
    rows = []
    for profile, found in campaigns.items():
        for count in devices:
            plan = found.on(count)
            end, idle = cost.duration(plan.makespan), f"{plan.idle:.1%}"
            rows.append({"profile": profile, "devices": str(count), "done after": end, "idle": idle})
    return pd.DataFrame(rows)


@rc_context(STYLE)
def gantt(found: Campaign, devices: int) -> Figure:
    """Who trains what when: a row for each device, a bar for each run in its method's colour."""
    plan = found.on(devices)
    size, unit = next((size, unit) for size, unit in UNITS if plan.makespan >= size or size == 1)
    figure = Picture(0.8 + 0.35 * devices)
    axis = figure.subplots()
    for turn in plan.turns:
        colour = method_style(found.specs[turn.run].method)["color"]
        width = (turn.end - turn.begin) / size
        axis.barh(turn.device, width, left=turn.begin / size, height=0.8, color=colour, edgecolor="white", lw=0.3)
    axis.set(
        xlabel=unit, ylabel="device", yticks=range(devices), xlim=(0, plan.makespan / size), ylim=(devices - 0.5, -0.5)
    )
    axis.set_yticklabels([str(device + 1) for device in range(devices)])
    axis.grid(axis="y", visible=False)
    there = {spec.method for spec in found.specs.values()}
    handles = [Patch(color=style["color"], label=name) for name, style in METHOD_STYLE.items() if name in there]
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure
