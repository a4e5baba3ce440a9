"""The commands that train: what is missing, what it costs, where it is trained, and what came of it."""

import argparse
import errno
import math
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from rigl_nb import paths
from rigl_nb.cli.usage import FILTERS, LEFT
from rigl_nb.execution import Execution, cores, devices
from rigl_nb.experiments import grids
from rigl_nb.runs import cost, engine, probe
from rigl_nb.runs.cluster import Cluster, installed
from rigl_nb.runs.origin import hardware
from rigl_nb.runs.progress import display
from rigl_nb.runs.record import Machine, Record
from rigl_nb.runs.store import Store, finding
from rigl_nb.runs.terminal import count, crash, fold, say
from rigl_nb.spec import RunSpec

PROBING = 0.1  # of a time budget, at most, goes into measuring what the batch would cost


def train(sections: list[str], options: argparse.Namespace) -> int:
    """Train what is missing of the sections, or say what that is: 0 all is there, 1 a run failed, 75 runs are left."""
    start = time.monotonic() - options.started  # workers import what this process did
    local = Store(paths.runs())
    published = () if options.fresh else (Store(paths.results()),)

    def ask() -> list[RunSpec]:
        return _selected(sections, options, finding(local, *published))[0]

    specs, future = _selected(sections, options, finding(local, *published))
    todo = engine.missing(specs, local, *published)
    engine.check_compact(todo, options.compact)  # before anything is timed, and in a dry run too
    cluster = _cluster(options, len(todo))
    budget = cost.seconds(options.time_budget) if options.time_budget else math.inf
    best = Execution.best(sharing=options.jobs_per_gpu, compact=options.compact)
    if todo and not options.dry_run:
        _writable(local.root)
    records = readable(Store(paths.results()), local)
    if not cluster.remote:
        how, until = best if cluster.alone else Execution.best(1, compact=options.compact), PROBING * budget
        records += probe.of(todo, records, how, options.started + until)
    total = len({spec.run_id for spec in (*specs, *todo)}) + len(future)
    there = f"{count(total, 'run')}, {total - len(todo) - len(future)} there already, {len(todo)} to train"
    there += f" and {len(future)} whose settings follow from results" if future else ""
    planned = cost.plan(todo, records, Machine.of(best), cluster.workers, future, start)
    if options.dry_run:
        print(fold("\n".join([there, *planned])))
        return 0
    say("\n".join([there, *planned[-1:]]))
    if todo and not cluster.remote:
        _on_the_processor(options.profile, best)
    deadline = options.started + budget
    summary = engine.campaign(ask, local, published, display, cluster, deadline=deadline, compact=options.compact)
    for run_id, reason in summary.failed.items():
        say(crash(run_id, reason, local.root))
    if summary.failed:
        say("the same command tries failed runs again")
    if summary.left:
        say(f"{count(summary.left, 'run')} left: the same command goes on from here")
    return 1 if summary.failed else LEFT if summary.left else 0


def readable(*stores: Store) -> list[Record]:
    """The stores' records; a damaged file is named and left out: it stops no run but its own."""
    tell = partial(replace, damaged=lambda error: say(f"passed over: {error}"))
    return [record for store in map(tell, stores) for record in store.records()]


def _on_the_processor(profile: str, best: Execution) -> None:
    """Say that the report's own networks would train on a CPU; ValueError where a GPU stays idle that may be meant."""
    if best.kind != "cpu" or grids.PROFILES[profile].stand_in:
        return
    if why := devices.unused():
        raise ValueError(f"profile {profile} is meant for the GPU, and {why}")
    say(f"profile {profile} is meant for a GPU: this trains on {hardware(best.device)}")


def _writable(folder: Path) -> None:
    """Raise OSError now, once, where every run would fail for it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _cluster(options: argparse.Namespace, runs: int) -> Cluster:
    """Where to train: as asked, else on a CPU a worker for each core, and on a GPU this process."""
    given = [name for name in ("workers", "scheduler", "slurm") if getattr(options, name) is not None]
    if len(given) > 1:
        raise ValueError(f"--{given[0]} and --{given[1]} are two places: name one of them")
    how = {"jobs": options.jobs_per_gpu, "dashboard": options.dashboard}
    if given:
        value = getattr(options, given[0])
        return Cluster.parse(f"slurm:{value}" if given[0] == "slurm" else value, **how)
    one = options.jobs_per_gpu > 1 or Execution.best().kind != "cpu" or not installed()
    return Cluster(1 if one else min(cores.usable(), max(runs, 1)), **how)


def _selected(sections: list[str], options: argparse.Namespace, find) -> tuple[list[RunSpec], list[RunSpec]]:
    """The sections' runs that the filters leave, and stand-ins for those that follow from results."""
    filters = {name: value for name in FILTERS if (value := getattr(options, name, None)) is not None}
    plans = [grids.plan(section, options.profile, find) for section in sections]
    named = f"section {', '.join(sections)}" if options.sections else "any section"
    specs = grids.filtered([s for plan in plans for s in plan.specs], f"{named}, profile {options.profile},", filters)
    return specs, [spec for plan in plans for spec in plan.future if grids.has(spec, filters)]
