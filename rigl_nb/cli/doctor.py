"""What this machine is, finding by finding, and whether a profile's job will work on it."""

import functools
import os
import re
import shutil
import sys
import time
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata

import torch

from rigl_nb import data, paths
from rigl_nb.execution import Execution, cores, devices
from rigl_nb.execution.graph import lane
from rigl_nb.experiments import inventory
from rigl_nb.experiments.profiles import PROFILES, Profile
from rigl_nb.iteration import iteration, prepare
from rigl_nb.report.pages.onefile import chromium
from rigl_nb.runs import cost
from rigl_nb.runs.cluster import installed
from rigl_nb.runs.origin import processor
from rigl_nb.runs.probe import Timed
from rigl_nb.runs.record import Machine
from rigl_nb.runs.store import Store
from rigl_nb.spec import RunSpec
from rigl_nb.train import Result, train

GB = 1e9
ROOM = 1.0  # GB of disk for records, checkpoints, the decoded images and the report
TRIAL = RunSpec(
    data="digits", model="wrn-10-1", method="RigL", init="ERK", density=0.2, batch_size=64, epochs=2, delta_t=5
)
TIMED = RunSpec(method="RigL", init="ERK", density=0.1)  # the report's network for CIFAR-10
LEAST, LONGEST = 3, 3.0  # iterations and seconds that are timed
PATIENCE = 7 * 86_400  # seconds of training above which a profile is not for this machine
LOCKED = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """A line of the diagnosis. `state`: ok; note, where less works than could; BAD, where the job fails."""

    state: str
    text: str


def examine(profile: str) -> dict[str, Finding]:
    """The findings for a profile's job, by subject; whatever goes wrong in one is its finding."""
    found = {}
    for subject, check in CHECKS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a finding says it
                found[subject] = check(PROFILES[profile])
        except Exception as error:  # a machine can be broken in every way
            found[subject] = Finding("BAD", f"{type(error).__name__}: {error}")
    return found


def python(profile: Profile) -> Finding:
    """Python and packages, against what the project needs and what its lock has."""
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["notebooks"]]
    needed = dict(requirement.split(">=") for requirement in asked)
    wrong = [
        f"{name} {have or 'is missing'}" for name in needed if _numbers(have := _version(name)) < _numbers(needed[name])
    ]
    locked: dict[str, set[str]] = {}
    for name, version in LOCKED.findall((paths.ROOT / "requirements.lock").read_text()):
        locked.setdefault(name, set()).add(version)
    there = {name: have for name in locked if (have := _version(name))}
    other = [f"{name} {have}" for name, have in there.items() if have.partition("+")[0] not in locked[name]]
    if wrong:
        least = ", ".join(f"{word} (at least {needed[word.split()[0]]})" for word in wrong)
        return Finding("BAD", f"{least}: make setup installs what is needed")
    what = f"{sys.version.split()[0]}, torch {torch.__version__}; "
    if other:
        return Finding(
            "note", what + f"{len(other)} of {len(there)} packages differ from the lock: {', '.join(other[:5])}"
        )
    return Finding("ok", what + f"{len(there)} packages, all as in requirements.lock")


def chip(profile: Profile) -> Finding:
    """The processor, and what it computes in."""
    native = torch.cpu.get_capabilities().get("avx512_bf16", False)
    return Finding("ok", f"{processor()}, trains in {'bfloat16' if native else 'float32: it has no AVX-512 BF16'}")


def gpu(profile: Profile) -> Finding:
    """The GPU and its driver."""
    best = Execution.best()
    if best.kind == "cuda":
        about = torch.cuda.get_device_properties(best.device)
        name = next(iter(devices.listed()), about.name)
        return Finding("ok", f"{name}, {about.total_memory / GB:.0f} GB, CUDA {torch.version.cuda}, {best.precision}")
    if best.kind == "mps":
        return Finding("note", "Apple's, in float32; nobody has compared its numbers yet")
    if why := devices.unused():
        return Finding("note" if profile.stand_in else "BAD", why)
    if torch.backends.mps.is_available():
        return Finding("note", "Apple's, which is left alone: RIGL_DEVICE=mps trains on it, in float32")
    return Finding("ok" if profile.stand_in else "note", "none: trainings are on the processor")


def usable(profile: Profile) -> Finding:
    """The cores."""
    number = cores.usable()
    many = "one run trains at a time" if number == 1 else f"{number} runs train at a time without a GPU"
    return Finding("note" if number == 1 else "ok", f"{number} of {os.cpu_count()} may be used: {many}")


def disk(profile: Profile) -> Finding:
    """Room where everything generated goes."""
    place = paths.build()
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(there).free / GB
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Finding("BAD", f"{there} cannot be written: make it writable, or name another folder by RIGL_BUILD")
    if free < ROOM:
        return Finding("BAD", f"{free:.1f} GB free in {there}, {ROOM:.0f} are needed: free some, or set RIGL_BUILD")
    return Finding("ok", f"{free:.0f} GB free in {there}")


def records(profile: Profile) -> Finding:
    """What was trained before, which the report reads: whether it is whole, and accuracies fit their predictions."""
    stores = Store(paths.results()), Store(paths.runs())
    if damaged := [str(error) for store in stores for error in store.damage()]:
        return Finding("BAD", "; ".join(damaged))
    return Finding("ok", ", ".join(f"{len(store.records())} in {store.root}" for store in stores))


def images(profile: Profile) -> Finding:
    """The data sets; those of the profile are read, which checks them."""
    needed = {profile.stand_in.get(name, {}).get("data", name) for name in profile.data}
    places = {name: data.where(name) for name in ("cifar10", "cifar100")}
    for name in sorted(needed):
        if places.get(name, paths.ROOT):
            data.load(name)
    if missing := [name for name, place in places.items() if not place]:
        how = (
            f"set RIGL_DATA to the folder that has them (README, CIFAR); a run tries to download them to {paths.data()}"
        )
        return Finding("BAD" if needed & set(missing) else "note", f"{' and '.join(missing)} not found: {how}")
    return Finding("ok", ", ".join(f"{name} in {place}" for name, place in places.items()))


def browser(profile: Profile) -> Finding:
    """What prints the report."""
    found = chromium()
    return Finding("ok", found) if found else Finding("note", "none: the report has no PDF, its pages are the same")


def clusters(profile: Profile) -> Finding:
    """Who could train elsewhere."""
    without = "no dask (pip install -e '.[cluster]'): one process trains"
    dask = f"dask {_version('distributed')}" if installed() else without
    return Finding("ok" if installed() else "note", f"{dask}; {shutil.which('sbatch') or 'no SLURM'}")


def training(profile: Profile) -> Finding:
    """Whether two trainings of seconds agree, on a GPU one of them replayed."""
    best = Execution.best(threads=1)
    one, other = (_trained(replace(best, graph=graph), turn) for turn, graph in enumerate((False, best.graph)))
    how = "eager and replayed" if best.graph else "twice"
    if one.history != other.history or not torch.equal(one.test_correct, other.test_correct):
        return Finding("BAD", f"on {best.device}, {how}: the numbers differ")
    return Finding("ok", f"on {best.device}, {how}: the same numbers, bit for bit; {one.test_accuracy:.0f} % of digits")


def speed(profile: Profile) -> Finding:
    """Images a second, and what the profiles would take with that."""
    best = Execution.best(threads=1)
    mine = Machine.of(best)
    rate = _rate(best)
    whole = TIMED.total_steps * TIMED.batch_size / rate
    known = [Timed(TRIAL, _trained(replace(best, graph=False), 0).seconds, mine), Timed(TIMED, whole, mine)]
    at_once = cores.usable() if best.kind == "cpu" else 1
    empty, takes = Store(paths.build() / "none"), {}
    for name in PROFILES:
        runs = inventory.together(name, empty)
        takes[name] = cost.estimate([*runs.todo.values(), *runs.future], known).seconds / at_once
    share = f", {at_once} at a time" if at_once > 1 else ""
    times = ", ".join(f"{name} {cost.duration(seconds)}" for name, seconds in takes.items())
    state = "note" if takes[profile.name] > PATIENCE else "ok"
    return Finding(state, f"{rate:,.0f} images/s ({TIMED.model}); all runs anew{share}: {times}")


CHECKS: dict[str, Callable[[Profile], Finding]] = {
    "Python": python,
    "processor": chip,
    "GPU": gpu,
    "cores": usable,
    "disk": disk,
    "records": records,
    "data": images,
    "Chromium": browser,
    "clusters": clusters,
    "training": training,
    "speed": speed,
}


@functools.cache
def _trained(execution: Execution, turn: int) -> Result:
    """The result of a run of the digits; another `turn` is another training."""
    steps = train(TRIAL, execution)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def _rate(execution: Execution) -> float:
    """Images a second of the report's network, on made-up images."""
    source, many = data.SOURCES[TIMED.data], 4 * TIMED.batch_size
    pixels = torch.zeros((many, *source.shape[1:], source.shape[0]), dtype=torch.uint8)
    batch = torch.arange(TIMED.batch_size, device=execution.device)
    with lane(execution)():
        made_up = data.Images(pixels, torch.arange(many) % source.classes).to(execution.device)
        parts = prepare(TIMED, execution)
        iterate = iteration(TIMED, execution, parts, source, made_up)
        for _ in range(5 if execution.graph else 1):  # the record of both pieces
            iterate(batch)
        parts.totals.tolist()  # waits for the device
        start, steps = time.perf_counter(), 0
        while steps < LEAST or time.perf_counter() - start < LONGEST:
            iterate(batch)
            parts.totals.tolist()
            steps += 1
        return steps * TIMED.batch_size / (time.perf_counter() - start)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3])
