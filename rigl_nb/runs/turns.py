"""Runs that take turns in one process, and when they have to leave."""

import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rigl_nb.runs.attempt import Event, Leave, Notify, Setting, attempt, underway
from rigl_nb.spec import RunSpec

NOTIFY_EVERY = 0.5  # seconds between a run's messages
LOOK_AGAIN = 1.0  # seconds until signals, the time, or a run that another process trains are looked at again
RESERVE = 3.0  # seconds kept of a time budget for the last checkpoints


@dataclass
class Stop:
    """Whether a batch must end: at a signal, when `asked` says so, or before `deadline` (of `time.monotonic`)."""

    deadline: float = math.inf
    signals: list[int] = field(default_factory=list)
    asked: Callable[[], bool] = lambda: False  # looked at between iterations: another thread may change its answer
    slowest: float = 0.0  # seconds of the longest turn: an iteration, with an evaluation where an epoch ends
    preparation: float = 0.0  # seconds of the longest first turn

    @property
    def wanted(self) -> bool:
        """Whether somebody wants the batch to end, however much time is left."""
        return bool(self.signals) or self.asked()

    def due(self, runs: int, extra: float = 0.0) -> bool:
        """Whether to leave now, with `runs` under way; the last evaluation is twice as long as the others."""
        needed = RESERVE + (runs + 1) * self.slowest + extra
        return self.wanted or time.monotonic() + needed > self.deadline

    def leave(self) -> None:
        """Do what the signal asks for."""
        if self.signals:
            raise KeyboardInterrupt if self.signals[0] == signal.SIGINT else SystemExit(128 + self.signals[0])


def next_ready(queue: deque[RunSpec], running: Iterable[RunSpec]) -> RunSpec | None:
    """Take the first run from the queue that waits for no parent under way, or in the queue itself."""
    waited_for = {spec.run_id for spec in (*queue, *running)}
    ready = (spec for spec in queue if not spec.parent or spec.parent.run_id not in waited_for)
    if spec := next(ready, None):
        queue.remove(spec)
    return spec


def take_turns(todo: list[RunSpec], setting: Setting, stop: Stop, hear: Notify) -> None:
    """Train in this process, `execution.sharing` runs at a time, one iteration of each in turn."""
    queue, running, told = deque(todo), deque(), {}
    try:
        while not stop.due(len(running)):
            room = len(running) < setting.execution.sharing
            if room and not stop.due(len(running), stop.preparation):
                spec = next_ready(queue, (other for other, _ in running))
                if spec:
                    running.append((spec, attempt(spec, setting)))
            if not running:
                break
            spec, steps = running.popleft()
            start = time.monotonic()
            try:
                progress = next(steps)
            except StopIteration as end:
                hear(end.value)
                progress = None  # else it would keep a finished run's network while the next one is prepared
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
        for event in (*ends, *map(not_begun, queue)):
            hear(event)


def _leave(spec: RunSpec, steps: Generator) -> Event:
    try:
        steps.throw(Leave())
    except StopIteration as end:
        return end.value
    except Leave:  # it has not had a turn
        return not_begun(spec)


def not_begun(spec: RunSpec) -> Event:
    """The end of a run that never had a turn."""
    return Event(spec, "left", text="not begun")


@contextmanager
def deferred() -> Iterator[list[int]]:
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
