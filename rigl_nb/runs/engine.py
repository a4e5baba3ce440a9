"""Trains the runs that no record holds yet: in this process, or in several at once; safe to interrupt."""

import math
import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from rigl_nb import data
from rigl_nb.runs.attempt import Event, Leave, Notify, attempt, failed, underway
from rigl_nb.runs.record import provenance
from rigl_nb.runs.store import Store
from rigl_nb.spec import Execution, RunSpec

NOTIFY_EVERY = 0.5  # seconds between a run's messages
LOOK_AGAIN = 1.0  # seconds until signals, the time, or a run that another process trains are looked at again
RESERVE = 3.0  # seconds kept of a time budget for the last checkpoints


@dataclass(frozen=True)
class Summary:
    """What came of a batch: runs trained, runs left for another time, and the reason of every crash by run id."""

    trained: int
    failed: dict[str, str]
    left: int = 0


@dataclass
class _Stop:
    """Whether a batch must end: at a signal, or before `deadline` (of `time.monotonic`) would pass."""

    deadline: float = math.inf
    signals: list[int] = field(default_factory=list)
    slowest: float = 0.0  # seconds of the longest turn: an iteration, with an evaluation where an epoch ends
    preparation: float = 0.0  # seconds of the longest first turn

    def due(self, runs: int, extra: float = 0.0) -> bool:
        """Whether to leave now, with `runs` under way; the last evaluation is twice as long as the others."""
        needed = RESERVE + (runs + 1) * self.slowest + extra
        return bool(self.signals) or time.monotonic() + needed > self.deadline

    def leave(self) -> None:
        """Do what the signal asks for."""
        if self.signals:
            raise KeyboardInterrupt if self.signals[0] == signal.SIGINT else SystemExit(128 + self.signals[0])


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
    deadline: float = math.inf,
    notify: Notify = lambda event: None,
) -> Summary:
    """Train what neither `store` nor `published` holds and save it in `store`, in the given order.

    `execution.sharing` runs take turns in this process, which overlaps them on a GPU. With several workers each run
    gets a process of its own with one CPU thread, which suits tiny networks. A crash is kept with its reason and does
    not stop the others. SIGINT, SIGTERM and the `deadline` (of `time.monotonic`) leave checkpoints behind; the same
    call goes on from them.
    """
    todo = missing(specs, store, *published)
    for name in sorted({spec.data for spec in todo}):
        data.load(name)  # decoded once, here, before any worker asks for it
    execution = execution or Execution.best(threads=1 if workers > 1 else None)
    origin = provenance(execution.device)  # of this process: workers run the code that it imported
    ends = {spec.run_id: Event(spec, "left") for spec in todo}

    def hear(event: Event) -> None:
        if event.kind != "progress":
            ends[event.spec.run_id] = event
        notify(event)

    with _deferred() as signals:
        stop = _Stop(deadline, signals)
        while todo and not stop.due(0):
            if workers > 1 and len(todo) > 1:
                _in_processes(todo, store, execution, origin, workers, stop, hear)
            else:
                _take_turns(todo, store, execution, origin, stop, hear)
            todo = [spec for spec in todo if ends[spec.run_id].kind == "busy"]
            if todo and not stop.due(0):
                time.sleep(LOOK_AGAIN)
    stop.leave()
    kinds = [event.kind for event in ends.values()]
    crashed = {run_id: event.text for run_id, event in ends.items() if event.kind == "failed"}
    return Summary(kinds.count("done"), crashed, len(kinds) - kinds.count("done") - len(crashed))


def _take_turns(
    todo: list[RunSpec], store: Store, execution: Execution, origin: dict, stop: _Stop, hear: Notify
) -> None:
    """Train in this process, `execution.sharing` runs at a time, one iteration of each in turn."""
    queue, running, told = deque(todo), deque(), {}
    try:
        while not stop.due(len(running)):
            room = len(running) < execution.sharing
            if queue and room and not stop.due(len(running), stop.preparation):
                spec = queue.popleft()
                running.append((spec, attempt(spec, store, execution, origin)))
            if not running:
                break
            spec, steps = running.popleft()
            start = time.monotonic()
            try:
                progress = next(steps)
            except StopIteration as end:
                hear(end.value)
                continue
            running.append((spec, steps))
            now = time.monotonic()
            if spec.run_id in told:
                stop.slowest = max(stop.slowest, now - start)
            else:  # its first turn, which prepares the run
                stop.preparation = max(stop.preparation, now - start)
            if now - told.get(spec.run_id, -math.inf) >= NOTIFY_EVERY:
                told[spec.run_id] = now
                hear(underway(progress))
    finally:
        ends = [_leave(spec, steps) for spec, steps in running]  # all of them, before anybody is told
        for event in (*ends, *map(_not_begun, queue)):
            hear(event)


def _leave(spec: RunSpec, steps: Generator) -> Event:
    try:
        steps.throw(Leave())
    except StopIteration as end:
        return end.value
    except Leave:  # it has not had a turn
        return _not_begun(spec)


def _not_begun(spec: RunSpec) -> Event:
    return Event(spec, "left", text="not begun")


def _in_processes(
    todo: list[RunSpec], store: Store, execution: Execution, origin: dict, workers: int, stop: _Stop, hear: Notify
) -> None:
    """A process for every run, at most `workers` at a time. One that dies fails its own run and no other."""
    available = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in available else "spawn")
    context.set_forkserver_preload([__name__, "sklearn.datasets"])  # imported once, not once a run
    queue, running = deque(todo), {}
    deadline = stop.deadline - RESERVE / 2  # a process leaves before its parent has to
    try:
        while (running or (queue and not stop.due(0))) and not stop.signals:
            while queue and len(running) < workers and not stop.due(0):
                spec = queue.popleft()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(theirs, spec, store, execution, origin, deadline))
                process.start()
                theirs.close()
                running[ours] = process, spec
            for connection in wait(list(running), timeout=LOOK_AGAIN):
                process, spec = running[connection]
                try:
                    event = connection.recv()
                except (EOFError, OSError):  # nothing more, or half a message
                    process.join()
                    event = Event(spec, "left", text="its process was ended")
                    if not stop.signals:  # which reach the processes too, some before they can heed them
                        event = failed(spec, store, f"its process ended with exit code {process.exitcode}")
                if event.kind != "progress":
                    process.join()
                    del running[connection]
                hear(event)
    finally:
        for process, _ in running.values():
            process.terminate()  # it leaves a checkpoint at the end of its iteration
        ends = []
        for connection, (process, spec) in running.items():
            ends.append(_last_word(connection) or Event(spec, "left", text="its process was ended"))
            process.join()
        for event in (*ends, *map(_not_begun, queue)):
            hear(event)


def _last_word(connection: Connection) -> Event | None:
    last = None
    with suppress(EOFError, OSError):
        while True:
            last = connection.recv()
    return last if last and last.kind != "progress" else None


def _work(
    connection: Connection, spec: RunSpec, store: Store, execution: Execution, origin: dict, deadline: float
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent passes on what it means

    def tell(event: Event) -> None:
        try:
            connection.send(event)
        except BrokenPipeError:  # the parent is gone: leave a checkpoint and follow it
            signal.raise_signal(signal.SIGTERM)

    with _deferred() as signals:
        _take_turns([spec], store, execution, origin, _Stop(deadline, signals), tell)


@contextmanager
def _deferred() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM for the end of the running iteration, when a snapshot is whole; SIGINT twice stops."""
    received: list[int] = []

    def remember(number: int, frame: object) -> None:
        if number == signal.SIGINT and signal.SIGINT in received:
            raise KeyboardInterrupt
        received.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield received  # only the main thread may ask for signals; here a kill costs the time since a checkpoint
        return
    heeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, remember) for number in heeded}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
