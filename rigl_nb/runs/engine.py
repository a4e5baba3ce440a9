"""Trains the runs that no record holds yet: in this process, or in several at once; safe to interrupt."""

import math
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from rigl_nb import data
from rigl_nb.runs.attempt import Event, Notify, attempt, failed
from rigl_nb.runs.record import provenance
from rigl_nb.runs.store import Store
from rigl_nb.spec import Execution, RunSpec

NOTIFY_EVERY = 0.5  # seconds between a worker's messages


@dataclass(frozen=True)
class Summary:
    """What came of a batch; `failed` has the reason of every run that crashed, by run id."""

    trained: int
    failed: dict[str, str]


def missing(specs: Iterable[RunSpec], *stores: Store) -> list[RunSpec]:
    """The runs that no store holds, each once, in the given order; RecordError names a damaged record."""
    unique = {spec.run_id: spec for spec in specs}
    return [spec for spec in unique.values() if not any(store.find(spec) for store in stores)]


def run(
    specs: Iterable[RunSpec],
    store: Store,
    published: Iterable[Store] = (),
    execution: Execution | None = None,
    workers: int = 1,
    notify: Notify = lambda event: None,
) -> Summary:
    """Train what neither `store` nor `published` holds and save it in `store`.

    With several workers each run gets a process of its own with one CPU thread, which suits runs of tiny networks.
    A crash is kept with its reason and does not stop the others. SIGINT and SIGTERM leave checkpoints behind; the
    same call goes on from them.
    """
    todo = missing(specs, store, *published)
    for name in sorted({spec.data for spec in todo}):
        data.load(name)  # decoded once, here, before any worker asks for it
    execution = execution or Execution.best(threads=1 if workers > 1 else None)
    origin = provenance(execution.device)  # of this process: workers run the code that it imported
    outcomes = []

    def hear(event: Event) -> None:
        if event.kind != "progress":
            outcomes.append(event)
        notify(event)

    if workers > 1 and len(todo) > 1:
        _in_processes(todo, store, execution, origin, workers, hear)
    else:
        for spec in todo:
            hear(attempt(spec, store, execution, origin, notify))
    for event in [event for event in outcomes if event.kind == "busy"]:  # wait for the others' runs at the end
        hear(attempt(event.spec, store, execution, origin, notify, patient=True))
    crashed = {event.spec.run_id: event.text for event in outcomes if event.kind == "failed"}
    return Summary(sum(event.kind == "done" for event in outcomes), crashed)


def _in_processes(
    todo: list[RunSpec], store: Store, execution: Execution, origin: dict, workers: int, hear: Notify
) -> None:
    """A process for every run, at most `workers` at a time. One that dies fails its own run and no other."""
    available = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in available else "spawn")
    context.set_forkserver_preload([__name__, "sklearn.datasets"])  # imported once, not once a run
    queue, running = deque(todo), {}
    try:
        while queue or running:
            while queue and len(running) < workers:
                spec = queue.popleft()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(theirs, spec, store, execution, origin))
                process.start()
                theirs.close()
                running[ours] = process, spec
            for connection in wait(list(running)):
                process, spec = running[connection]
                try:
                    event = connection.recv()
                except EOFError:
                    process.join()
                    event = failed(spec, store, f"its process ended with exit code {process.exitcode}")
                if event.kind != "progress":
                    process.join()
                    del running[connection]
                hear(event)
    finally:
        for process, _ in running.values():
            process.terminate()  # it leaves a checkpoint at the end of its iteration
        for process, _ in running.values():
            process.join()


def _work(connection: Connection, spec: RunSpec, store: Store, execution: Execution, origin: dict) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent passes on what it means
    last = -math.inf

    def notify(event: Event) -> None:
        nonlocal last
        if time.monotonic() - last > NOTIFY_EVERY:
            last = time.monotonic()
            try:
                connection.send(event)
            except BrokenPipeError:  # the parent is gone: leave a checkpoint and follow it
                signal.raise_signal(signal.SIGTERM)

    connection.send(attempt(spec, store, execution, origin, notify))
