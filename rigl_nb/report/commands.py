"""The command line: train what is missing, show what there is, publish records, build the report."""

import argparse
import math
import os
import signal
import sys
import time
from pathlib import Path

import torch

from rigl_nb import paths
from rigl_nb.execution import Execution
from rigl_nb.methods import METHODS
from rigl_nb.report import grids
from rigl_nb.runs import cost, engine
from rigl_nb.runs.cluster import LOOPBACK, SLURM, Cluster, installed
from rigl_nb.runs.progress import display
from rigl_nb.runs.record import hardware
from rigl_nb.runs.store import Store, finding, publish
from rigl_nb.spec import RunSpec

STARTED = time.monotonic()
LEFT = 75  # exit code: the time budget is spent and runs are left (EX_TEMPFAIL, try again)
FILTERS = {"method": str, "init": str, "density": float, "multiplier": int, "seed": int}


def main(arguments: list[str] | None = None) -> int:
    """Run one command: 0 all went well, 1 something failed, 2 a wrong call, 75 runs are left, 130 interrupted."""
    options = _parser().parse_args(arguments)
    for root in (paths.results, paths.build, paths.data):
        root()  # made absolute once, for kernels and workers
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return options.command(options) or 0
    except KeyboardInterrupt:
        print("\nInterrupted. Finished runs are kept; the same command goes on from here.", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError) as error:
        if options.debug:
            raise
        print(f"rigl_nb {options.name}: {error}", file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    """Train what is missing."""
    return _train(options.sections or list(grids.SECTIONS), options)


def reproduce(options: argparse.Namespace) -> int:
    """Train a profile's missing runs, execute the notebooks with them, and build the report."""
    from rigl_nb.report import build

    sections = build.sections(options.sections)
    with_runs = [section for section in sections if section in grids.SECTIONS]
    if (code := _train(with_runs, options)) or options.dry_run:
        return code
    print(build.reproduce(sections, profile=options.profile))
    return 0


def report(options: argparse.Namespace) -> int:
    """Build the report from the published records alone."""
    from rigl_nb.report import build

    print(build.reproduce(build.sections(options.sections), profile=""))
    return 0


def notebooks(options: argparse.Namespace) -> int:
    """Make the committed notebooks anew, outputs included, from the published records."""
    from rigl_nb.report import build

    build.make_notebooks(build.sections(options.sections))
    return 0


def status(options: argparse.Namespace) -> int:
    """Count present, missing and failed runs, and say what the missing ones would cost; or look at a cluster."""
    if options.scheduler:
        return _watch(options.scheduler)
    local, evidence = Store(paths.runs()), Store(paths.results())
    records = evidence.records() + local.records()
    here = hardware(Execution.best().device)
    print(f"{'section':8} {'profile':8} {'present':>8} {'missing':>8} {'failed':>7}  cost of the missing ones")
    find = finding(local, evidence)
    for section in options.sections or grids.SECTIONS:
        for profile in [options.profile] if options.profile else grids.PROFILES:
            plan = grids.plan(section, profile, find)
            missing = engine.missing(plan.specs, local, evidence)
            lacking = len({spec.run_id for spec in plan.specs} & {spec.run_id for spec in missing}) + len(plan.future)
            failed = [(spec, reason) for spec in missing if (reason := local.failure(spec))]
            price = cost.estimate([*missing, *plan.future], records, here) or "unknown, no run was timed yet"
            present = len(plan.specs) + len(plan.future) - lacking
            counts = f"{present:8} {lacking:8} {len(failed):7}"
            print(f"{section:8} {profile:8} {counts}  {price if lacking else ''}".rstrip())
            for spec, reason in failed:
                print(f"  failed: {spec.run_id}: {reason}")
    return 0


def _watch(address: str) -> int:
    from rigl_nb.runs.watch import watch

    find = finding(Store(paths.runs()), Store(paths.results()))
    specs = [
        s for section in grids.SECTIONS for profile in grids.PROFILES for s in grids.plan(section, profile, find).specs
    ]
    print("\n".join(watch(address, [*specs, *(spec.parent for spec in specs if spec.parent)])))
    return 0


def publish_records(options: argparse.Namespace) -> int:
    """Check records of the evidence profiles and copy them into results/, then remake the notebooks."""
    source, target = Store(options.folder or paths.runs()), Store(paths.results())
    if not Path(source.root).is_dir():
        raise ValueError(f"folder {str(source.root)!r} does not exist: name one that holds records")
    plans = [
        grids.plan(section, name, finding(target, source)) for name in grids.EVIDENCE for section in grids.SECTIONS
    ]
    wanted = [spec for plan in plans for spec in plan.specs]
    done = publish(source, target, wanted, options.allow_dirty)
    known = {spec.run_id for spec in wanted}
    skipped = sum(record.spec.run_id not in known for record in source.records())
    evidence = " or ".join(grids.EVIDENCE)
    print(f"{len(done)} records published in {paths.results()}; {skipped} left out: no run of {evidence}")
    return notebooks(options) if done and not options.keep_notebooks else 0


def _train(sections: list[str], options: argparse.Namespace) -> int:
    local = Store(paths.runs())
    published = () if options.fresh else (Store(paths.results()),)

    def ask() -> list[RunSpec]:
        return _selected(sections, options, finding(local, *published))[0]

    specs, future = _selected(sections, options, finding(local, *published))
    todo = engine.missing(specs, local, *published)
    cluster = _cluster(options, len(todo))
    deadline = STARTED + cost.seconds(options.time_budget) if options.time_budget else math.inf
    best = Execution.best(sharing=options.jobs_per_gpu)
    records = Store(paths.results()).records() + local.records()
    total = len({spec.run_id for spec in (*specs, *todo)}) + len(future)
    there = f"{total} runs, {total - len(todo) - len(future)} there already, {len(todo)} to train"
    there += f" and {len(future)} whose settings follow from results" if future else ""
    planned = cost.plan(todo, records, hardware(best.device), cluster.workers, future)
    print("\n".join([there, *planned]), file=sys.stdout if options.dry_run else sys.stderr)
    if options.dry_run:
        return 0
    execution = best if cluster.alone else None  # elsewhere, what suits the machine that trains
    summary = engine.campaign(ask, local, published, display, workers=cluster, execution=execution, deadline=deadline)
    for run_id, reason in summary.failed.items():
        print(f"failed: {run_id}: {reason}", file=sys.stderr)
    if summary.left:
        print(f"{summary.left} runs left: the same command goes on from here", file=sys.stderr)
    return 1 if summary.failed else LEFT if summary.left else 0


def _cluster(options: argparse.Namespace, runs: int) -> Cluster:
    """Where to train: as asked, else on a CPU a worker for each core, and on a GPU this process."""
    given = [name for name in ("workers", "scheduler", "slurm") if getattr(options, name) is not None]
    if len(given) > 1:
        raise ValueError(f"--{given[0]} and --{given[1]} are two places: name one of them")
    how = {"jobs": options.jobs_per_gpu, "dashboard": options.dashboard}
    if given:
        value = getattr(options, given[0])
        return Cluster.parse(f"slurm:{value}" if given[0] == "slurm" else value, **how)
    one = torch.cuda.is_available() or options.jobs_per_gpu > 1 or not installed()
    return Cluster(1 if one else min(os.cpu_count() or 1, max(runs, 1)), **how)


def _selected(sections: list[str], options: argparse.Namespace, find) -> tuple[list[RunSpec], list[RunSpec]]:
    """The sections' runs that the filters leave, and stand-ins for those that follow from results."""
    filters = {name: value for name in FILTERS if (value := getattr(options, name, None)) is not None}
    plans = [grids.plan(section, options.profile, find) for section in sections]
    where = f"section {', '.join(sections)}, profile {options.profile},"
    specs = grids.filtered([spec for plan in plans for spec in plan.specs], where, filters)
    return specs, [spec for plan in plans for spec in plan.future if grids.has(spec, filters)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m rigl_nb", description=__doc__)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="name", required=True)

    def command(function, name: str | None = None, profile: str | None = None) -> argparse.ArgumentParser:
        sub = commands.add_parser(name or function.__name__, help=function.__doc__, description=function.__doc__)
        sub.set_defaults(command=function, sections=None)
        sub.add_argument(
            "--sections",
            "--section",
            nargs="+",
            metavar="05_1",
            help="sections, by notebook number (default: all)",
        )
        if profile is not None:
            sub.add_argument("--profile", choices=grids.PROFILES, default=profile or None)
        return sub

    for trains in (command(reproduce, profile="smoke"), command(run, profile="smoke")):
        trains.add_argument("--workers", type=int, help="training processes (default: one for each CPU core)")
        places = "; ".join(f"{key}: {about}" for key, (about, _) in SLURM.items())
        trains.add_argument("--scheduler", metavar="tcp://HOST:8786", help="train on this dask cluster")
        trains.add_argument("--slurm", metavar="KEY=VALUE,…", help=f"train in SLURM's jobs; {places}")
        trains.add_argument(
            "--dashboard",
            metavar="HOST:PORT",
            default=LOOPBACK,
            help="where to show the cluster at work (default: this machine alone sees it)",
        )
        trains.add_argument("--jobs-per-gpu", type=int, default=1, help="runs that take turns on a GPU (default: 1)")
        trains.add_argument("--fresh", action="store_true", help="train even what results/ holds already")
        trains.add_argument("--dry-run", action="store_true", help="show what is missing and its cost, and stop")
        trains.add_argument(
            "--time-budget",
            metavar="9m",
            help=f"end training before this time is over, with exit code {LEFT} when runs are left",
        )
    for name, kind in FILTERS.items():
        choices = tuple(METHODS) if name == "method" else None
        commands.choices["run"].add_argument(f"--{name}", type=kind, choices=choices)
    looks = command(status, profile="")
    looks.add_argument("--scheduler", metavar="tcp://HOST:8786", help="what this dask cluster does now")
    command(report)
    command(notebooks)
    publishing = command(publish_records, "publish")
    publishing.add_argument("folder", nargs="?", help="where the records are (default: this machine's own)")
    publishing.add_argument("--allow-dirty", action="store_true", help="also records of uncommitted code")
    publishing.add_argument("--keep-notebooks", action="store_true", help="leave the notebooks as they are")
    return parser
