"""What a run costs beside its training: in this process, in one of its own, as a task of dask; and 10,000 runs."""

import itertools
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.timing import Machine, Measurement, interleaved
from rigl_nb import data
from rigl_nb.execution import Execution
from rigl_nb.runs import cost, engine, record, turns, workers
from rigl_nb.runs.attempt import Setting
from rigl_nb.runs.batch import Batch
from rigl_nb.runs.cluster import LOOPBACK, Pool, installed, opened
from rigl_nb.runs.origin import provenance
from rigl_nb.runs.store import Store
from rigl_nb.runs.watch import watch
from rigl_nb.spec import RunSpec

SPEC = RunSpec(data="digits", init="ERK", density=0.1, epochs=1, delta_t=3)
HERE = Execution(precision="fp32", channels_last=False, threads=1)
OWN, DASK = "a process of its own", "a task of dask"


def measure(machine: Machine) -> list[Measurement]:
    """Seconds from the call to the record for a run of one epoch, without its training; then a large batch."""
    if not installed():
        return [Measurement("time beside training", DASK, "s", (), "not measured: it needs dask")]
    with tempfile.TemporaryDirectory() as folder, opened(2) as local:
        data.load(SPEC.data)
        stores = (Store(Path(folder) / str(number)) for number in itertools.count())
        with opened(local.client.scheduler.address) as pool:
            ways = {"this process": _alone, OWN: _process, DASK: partial(_task, pool)}
            beside = {name: [] for name in ways}
            arms = {name: partial(_timed, beside[name], way, stores) for name, way in ways.items()}
            interleaved(arms, 3 if machine.quick else 15, deadline=machine.deadline)
        beside = {name: tuple(values[1:]) for name, values in beside.items()}  # the first round is the warm-up
        found = [Measurement("time beside training", name, "s", values) for name, values in beside.items()]
        added = tuple(task - own for task, own in zip(beside[DASK], beside[OWN], strict=True))
        found.append(Measurement("a task adds", "to its process", "s", added, "paired, one run at a time"))
        return found + _many(100 if machine.quick else 10_000, next(stores))


def _timed(beside: list[float], way, stores) -> None:
    """Train the run in a new store, and keep the seconds that were not training."""
    store, start = next(stores), time.perf_counter()
    way(store)
    beside.append(time.perf_counter() - start - store.find(SPEC).seconds)


def _alone(store: Store) -> None:
    engine.run([SPEC], store, execution=HERE)


def _process(store: Store) -> None:
    """The same process as a task starts, without a task."""
    setting = Setting(store, (), HERE, provenance("cpu"))
    workers._supervise(SPEC, setting, None, 1, lambda *event: None, lambda: True)


def _task(pool: Pool, store: Store) -> None:
    engine.run([SPEC], store, execution=HERE, workers=pool)


def _many(count: int, store: Store) -> list[Measurement]:
    """Plan, submit, look at and give up so many runs, on a scheduler without workers: none is trained."""
    from distributed import LocalCluster

    specs, subject, found = [replace(SPEC, seed=seed) for seed in range(count)], f"{count:,} runs", []

    def clock(quantity: str, action):
        start = time.perf_counter()
        result = action()
        found.append(Measurement(quantity, subject, "s", (time.perf_counter() - start,)))
        return result

    with (
        LocalCluster(n_workers=0, dashboard_address=LOOPBACK) as empty,
        opened(empty.scheduler_address) as pool,
    ):
        setting = Setting(store, (), None, provenance("cpu"), store.mark())
        todo = clock("see what is missing", lambda: engine.missing(specs, store))
        clock("plan", lambda: cost.plan(todo, [], record.Machine.of(HERE), 1))
        batch = Batch(todo, setting, pool, lambda event: None)

        def submit() -> None:
            batch.connect()
            batch.submit()
            while len(empty.scheduler.tasks) < count:  # it takes them as they come
                time.sleep(0.01)

        clock("submit", submit)
        clock("look at the queue", lambda: watch(empty.scheduler_address, specs))
        clock("give up", lambda: batch.leave(turns.Stop()))
    return found
