"""The command line: train what is missing, show what there is, publish records, build the report."""

import argparse
import errno
import signal
import sys
import time
from pathlib import Path

from rigl_nb import paths
from rigl_nb.claims import own_costs
from rigl_nb.cli import usage
from rigl_nb.cli.training import readable, train
from rigl_nb.cli.usage import TURNS
from rigl_nb.execution import Execution
from rigl_nb.experiments import grids, inventory
from rigl_nb.runs.publishing import new, others, publish
from rigl_nb.runs.record import Machine
from rigl_nb.runs.store import Store, finding
from rigl_nb.runs.terminal import PROGRAM, count, fold, program, say

KEPT = "Finished runs are kept; the same command goes on from here."
FOLDER = "ame another folder: RIGL_BUILD for all that is generated, RIGL_RESULTS, RIGL_DATA"
ADVICE = dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), f"Make it writable, or n{FOLDER}")
ADVICE |= dict.fromkeys((errno.ENOTDIR, errno.EEXIST, errno.ENOENT), f"N{FOLDER}")
ADVICE[errno.ENOSPC] = "Free some space; the same command goes on from here"


def main(arguments: list[str] | None = None, started: float | None = None) -> int:
    """Run one command: 0 all went well, 1 something failed, 2 a wrong call, 75 runs are left, 130 interrupted.

    `started` (of `time.monotonic`) is when the process was: its time budget begins then.
    """
    return program(lambda: _obey(arguments, time.monotonic() if started is None else started))


def _obey(arguments: list[str] | None, started: float) -> int:
    parser = usage.parser()
    options = parser.parse_args(arguments, argparse.Namespace(started=started))
    if options.name is None:
        parser.print_help(sys.stderr)
        return 2
    for root in (paths.results, paths.build, paths.data):
        root()  # made absolute once, for kernels and workers
    if not paths.results().is_dir():
        say(f"{paths.results()} is no folder: no record counts as published. RIGL_RESULTS names another one")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return COMMANDS[options.name](options) or 0
    except KeyboardInterrupt:
        say(f"\nInterrupted. {KEPT}")
        return 130
    except SystemExit:  # SIGTERM
        say(f"Ended by a signal. {KEPT}")
        raise
    except BrokenPipeError:
        raise
    except (ValueError, OSError, RuntimeError) as error:
        if options.debug:
            raise
        say(f"rigl_nb {options.name}: {_advice(error)}")
        return 2 if type(error) is ValueError else 1  # what data, records and notebooks lack has errors of its own


def _advice(error: Exception) -> str:
    """What went wrong and, where the system says it, what to do about it."""
    if isinstance(error, OSError) and error.errno in ADVICE:
        return f"{error.filename or 'a file'}: {error.strerror}. {ADVICE[error.errno]}"
    return str(error)


def run(options: argparse.Namespace) -> int:
    """Train what is missing."""
    return train(options.sections or sorted(grids.SECTIONS, key=TURNS.index), options)


def reproduce(options: argparse.Namespace) -> int:
    """Show the report so far, train a profile's missing runs, execute the notebooks, and build the report with them."""
    from rigl_nb.report.pages import build, kernels

    sections = build.sections(options.sections)
    if not options.dry_run:
        say("A report of the published records, to read while this goes on (20 seconds):")
        kernels.warm()
        say(f"  {build.first(sections)}")
        say(f"Now the trainings of profile {options.profile}. Stop them whenever you like: the same command goes on.")
    with_runs = sorted(grids.SECTIONS.keys() & sections, key=TURNS.index)
    if (code := train(with_runs, options)) or options.dry_run:
        return code
    say("Now the notebooks with these runs, and the report of them (a minute and a half on two CPU cores)")
    print(build.reproduce(sections, profile=options.profile))
    return 0


def report(options: argparse.Namespace) -> int:
    """Build the report from the published records alone."""
    from rigl_nb.report.pages import build

    print(build.reproduce(build.sections(options.sections), profile=""))
    return 0


def site(options: argparse.Namespace) -> int:
    """Make the pages that a static host serves, of the committed notebooks."""
    from rigl_nb.report.pages import build

    print(build.site(build.sections(options.sections)))
    return 0


def notebooks(options: argparse.Namespace) -> int:
    """Make the committed notebooks anew, outputs included, from the published records."""
    from rigl_nb.report.pages import build

    build.make_notebooks(build.sections(options.sections))
    return 0


def status(options: argparse.Namespace) -> int:
    """Count present, missing and failed runs, and say what the missing ones would cost; or look at a cluster."""
    if options.scheduler:
        return _watch(options.scheduler)
    profiles = [options.profile] if options.profile else grids.PROFILES
    here, stores = Machine.of(Execution.best()), (Store(paths.runs()), Store(paths.results()))
    print("\n".join(inventory.lines(options.sections or grids.SECTIONS, profiles, *stores, here)))
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
    if options.sections:
        from rigl_nb.report.pages import build

        build.sections(options.sections)  # a folder named after them is no section
    source, target = Store(_holding(Path(options.folder or paths.runs()))), Store(paths.results())
    plans = [
        grids.plan(section, name, finding(target, source)) for name in grids.EVIDENCE for section in grids.SECTIONS
    ]
    wanted = [spec for plan in plans for spec in plan.specs]
    own_costs.check(new(source, target, wanted))
    apart = others(source, target, wanted)
    done = publish(source, target, wanted, options.allow_dirty)
    known = {spec.run_id for spec in wanted}
    there = [record.spec.run_id for record in readable(source)]
    print(f"{count(len(done), 'record')} published in {paths.results()}")
    if old := len(known.intersection(there)) - len(done):
        print(f"{old} there already" + (f"; with other numbers, which stay: {len(apart)}" if apart else ""))
        print("".join(f"  {spec.run_id}\n" for spec in apart), end="")
    print(f"{len(set(there) - known)} left out: no run of {' or '.join(grids.EVIDENCE)}")
    return notebooks(options) if done and not options.keep_notebooks else 0


def _holding(folder: Path) -> Path:
    """The folder, if it holds records; ValueError says what it is instead."""
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is {'a file' if folder.exists() else 'not there'}: name a folder that holds records"
        )
    records = [file for file in folder.glob("**/seed-*.json") if not file.name.endswith(".failed.json")]
    places = sorted({file.parent.parent for file in records})
    if folder not in places:
        way_out = f"do you mean {places[0]}?" if places else "a record lies at CONFIGURATION/seed-N.json"
        raise ValueError(f"{folder} holds no records: {way_out}")
    places.remove(folder)
    if places:
        say(f"not read, as they lie deeper: records in {', '.join(map(str, places))}; publish each folder by itself")
    return folder


def doctor(options: argparse.Namespace) -> int:
    """Say what this machine is, and whether a profile's job will work on it: 0 only then."""
    from rigl_nb.cli.doctor import examine

    found = examine(options.profile)
    print("\n".join(fold(f"{one.state:5}{subject:10} {one.text}") for subject, one in found.items()))
    bad = [subject for subject, one in found.items() if one.state == "BAD"]
    job = f"{PROGRAM} reproduce --profile {options.profile}"
    slow = ", but it would take long: see speed" if found["speed"].state == "note" else ""
    say(f"{job} will not work here: see {', '.join(bad)}" if bad else f"{job} will work here{slow}")
    return 1 if bad else 0


COMMANDS = {
    "reproduce": reproduce,
    "run": run,
    "status": status,
    "report": report,
    "site": site,
    "notebooks": notebooks,
    "publish": publish_records,
    "doctor": doctor,
}
