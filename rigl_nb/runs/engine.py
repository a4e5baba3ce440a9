"""Trains the runs that no record holds yet: in this process, or in several at once; safe to interrupt."""

import io
import math
import multiprocessing
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import filelock
import torch

from rigl_nb import data
from rigl_nb.runs.record import from_result, provenance
from rigl_nb.runs.store import Store, write
from rigl_nb.spec import Execution, RunSpec
from rigl_nb.train import train

CHECKPOINT_EVERY = 30.0  # seconds; a kill costs at most the work since the last one
NOTIFY_EVERY = 0.5  # seconds between a worker's messages


@dataclass(frozen=True)
class Event:
    """What a run has to say. `kind`: progress, done, failed, or busy (another process trains it)."""

    spec: RunSpec
    kind: str
    step: int = 0
    text: str = ""


Notify = Callable[[Event], None]


@dataclass(frozen=True)
class Summary:
    """What came of a batch; `failed` has the reason of every run that crashed, by run id."""

    trained: int
    failed: dict[str, str]


class Busy(Exception):
    """Another process holds the run's lock."""


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
    outcomes = []

    def hear(event: Event) -> None:
        if event.kind != "progress":
            outcomes.append(event)
        notify(event)

    if workers > 1 and len(todo) > 1:
        _in_processes(todo, store, execution, workers, hear)
    else:
        for spec in todo:
            hear(_attempt(spec, store, execution, notify))
    for event in [event for event in outcomes if event.kind == "busy"]:  # wait for the others' runs at the end
        hear(_attempt(event.spec, store, execution, notify, patient=True))
    failed = {event.spec.run_id: event.text for event in outcomes if event.kind == "failed"}
    return Summary(sum(event.kind == "done" for event in outcomes), failed)


def train_one(
    spec: RunSpec,
    store: Store,
    execution: Execution,
    notify: Notify = lambda event: None,
    patient: bool = True,
) -> None:
    """Train one run under its lock, from its checkpoint where there is one, and save its record.

    Raises Busy when another process trains it and `patient` is false.
    """
    lock = store.path(spec, ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        guard = filelock.FileLock(lock).acquire(timeout=-1 if patient else 0)
    except filelock.Timeout as error:
        raise Busy(spec.run_id) from error
    with guard:
        if store.find(spec) is None:
            _train_locked(spec, store, execution, notify)


def _train_locked(spec: RunSpec, store: Store, execution: Execution, notify: Notify) -> None:
    origin = provenance(execution.device)
    checkpoint = store.path(spec, ".checkpoint")
    steps = train(spec, execution, _resumable(checkpoint, execution))
    saved = time.monotonic()
    with _interruptible() as received:
        while True:
            try:
                progress = next(steps)
            except StopIteration as done:
                store.save(from_result(spec, done.value, execution, origin))
                checkpoint.unlink(missing_ok=True)
                return
            notify(Event(spec, "progress", progress.step, _describe(progress)))
            if received or time.monotonic() - saved > CHECKPOINT_EVERY:
                buffer = io.BytesIO()
                torch.save(progress.snapshot() | {"execution": asdict(execution)}, buffer)
                write(checkpoint, buffer.getvalue())
                saved = time.monotonic()
            if received:
                break
    raise KeyboardInterrupt if received[0] == signal.SIGINT else SystemExit(128 + received[0])


def _resumable(checkpoint, execution: Execution) -> dict | None:
    """The checkpoint's state; None where there is none, or it was made on another device and cannot go on here."""
    if not checkpoint.exists():
        return None
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch names no single class for a damaged file
        raise ValueError(f"{checkpoint} is damaged ({error}): remove it to train the run from its start") from error
    return state if state["execution"]["device"] == execution.device else None


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM for the end of the running iteration, when a snapshot is whole; SIGINT twice stops."""
    received: list[int] = []

    def remember(number: int, frame: Any) -> None:
        if number == signal.SIGINT and signal.SIGINT in received:
            raise KeyboardInterrupt
        received.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield received  # only the main thread may ask for signals; here a kill costs the time since a checkpoint
        return
    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _attempt(spec: RunSpec, store: Store, execution: Execution, notify: Notify, patient: bool = False) -> Event:
    """Train one run; a crash becomes an event, and is kept beside the records."""
    try:
        train_one(spec, store, execution, notify, patient)
    except Busy:
        return Event(spec, "busy", text="another process trains it")
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        with suppress(OSError):  # a full or read-only disk: the reason still reaches the caller
            store.fail(spec, reason, traceback.format_exc())
        return Event(spec, "failed", text=reason)
    record = store.find(spec)
    speed = f"{record.seconds:.0f} s, {record.images_per_second:,.0f} images/s"
    return Event(spec, "done", spec.total_steps, f"test {record.test_accuracy:.2f} %, {speed}")


def _in_processes(todo: list[RunSpec], store: Store, execution: Execution, workers: int, hear: Notify) -> None:
    """A process for every run, at most `workers` at a time. One that dies fails its own run and no other."""
    available = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in available else "spawn")
    context.set_forkserver_preload([__name__])  # torch is imported once, not once a run
    queue, running = deque(todo), {}
    try:
        while queue or running:
            while queue and len(running) < workers:
                spec = queue.popleft()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(theirs, spec, store, execution))
                process.start()
                theirs.close()
                running[ours] = process, spec
            for connection in wait(list(running)):
                process, spec = running[connection]
                try:
                    event = connection.recv()
                except EOFError:
                    process.join()
                    event = Event(spec, "failed", text=f"its process ended with exit code {process.exitcode}")
                if event.kind != "progress":
                    process.join()
                    del running[connection]
                hear(event)
    finally:
        for process, _ in running.values():
            process.terminate()  # it leaves a checkpoint at the end of its iteration
        for process, _ in running.values():
            process.join()


def _work(connection: Connection, spec: RunSpec, store: Store, execution: Execution) -> None:
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

    connection.send(_attempt(spec, store, execution, notify))


def _describe(progress) -> str:
    accuracy = progress.history[-1]["validation_accuracy"] if progress.history else None
    known = "" if accuracy is None else f", validation {accuracy:.1f} %"
    epoch = min(progress.step // progress.spec.steps_per_epoch + 1, progress.spec.total_epochs)
    return f"epoch {epoch}/{progress.spec.total_epochs}, {progress.images_per_second:,.0f} images/s{known}"
