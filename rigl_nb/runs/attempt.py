"""One run, trained under its lock from its checkpoint, with what interrupts it and what it has to say."""

import io
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock
import torch

from rigl_nb.runs.record import from_result
from rigl_nb.runs.store import Store, write
from rigl_nb.spec import Execution, RunSpec
from rigl_nb.train import Progress, train

CHECKPOINT_EVERY = 30.0  # seconds; a kill costs at most the work since the last one


@dataclass(frozen=True)
class Event:
    """What a run has to say. `kind`: progress, done, failed, or busy (another process trains it)."""

    spec: RunSpec
    kind: str
    step: int = 0
    text: str = ""


Notify = Callable[[Event], None]


class Busy(Exception):
    """Another process holds the run's lock."""


def attempt(
    spec: RunSpec, store: Store, execution: Execution, origin: dict, notify: Notify, patient: bool = False
) -> Event:
    """Train one run; a crash becomes an event, and is kept beside the records."""
    try:
        train_one(spec, store, execution, origin, notify, patient)
    except Busy:
        return Event(spec, "busy", text="another process trains it")
    except Exception as error:
        return failed(spec, store, f"{type(error).__name__}: {error}", traceback.format_exc())
    record = store.find(spec)
    speed = f"{record.seconds:.0f} s, {record.images_per_second:,.0f} images/s"
    return Event(spec, "done", spec.total_steps, f"test {record.test_accuracy:.2f} %, {speed}")


def failed(spec: RunSpec, store: Store, reason: str, trace: str = "") -> Event:
    """Keep why a run crashed, and say so."""
    with suppress(OSError):  # a full or read-only disk: the reason still reaches the caller
        store.fail(spec, reason, trace)
    return Event(spec, "failed", text=reason)


def train_one(
    spec: RunSpec,
    store: Store,
    execution: Execution,
    origin: dict,
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
            _train_locked(spec, store, execution, origin, notify)


def _train_locked(spec: RunSpec, store: Store, execution: Execution, origin: dict, notify: Notify) -> None:
    checkpoint = store.path(spec, ".checkpoint")
    state = _resumable(checkpoint, spec, execution)
    if state and (state["origin"]["dirty"] or state["origin"]["commit"] != origin["commit"]):
        origin = origin | {"dirty": True}  # trained by more than this commit's code
    steps = train(spec, execution, state)
    saved = time.monotonic()
    with _interruptible() as received:
        while True:
            try:
                progress = next(steps)
            except StopIteration as done:
                store.save(from_result(spec, done.value, execution, origin))
                checkpoint.unlink(missing_ok=True)
                break
            notify(Event(spec, "progress", progress.step, _describe(progress)))
            if received or time.monotonic() - saved > CHECKPOINT_EVERY:
                buffer = io.BytesIO()
                torch.save(progress.snapshot() | {"execution": asdict(execution), "origin": origin}, buffer)
                write(checkpoint, buffer.getvalue())
                saved = time.monotonic()
            if received:
                break
    if received:
        raise KeyboardInterrupt if received[0] == signal.SIGINT else SystemExit(128 + received[0])


def _resumable(checkpoint: Path, spec: RunSpec, execution: Execution) -> dict | None:
    """The checkpoint's state; None where there is none, or another device or precision made it."""
    if not checkpoint.exists():
        return None
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if state["run_id"] != spec.run_id or "origin" not in state:
            raise ValueError(f"it is no checkpoint of {spec.run_id}")
        made, mine = state["execution"] | {"threads": None}, asdict(execution) | {"threads": None}
    except Exception as error:  # torch names no single class for a damaged file
        raise ValueError(f"{checkpoint} is damaged ({error}): remove it to train the run from its start") from error
    return state if made == mine else None


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
    heeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, remember) for number in heeded}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _describe(progress: Progress) -> str:
    accuracy = progress.history[-1]["validation_accuracy"] if progress.history else None
    known = "" if accuracy is None else f", validation {accuracy:.1f} %"
    epoch = min(progress.step // progress.spec.steps_per_epoch + 1, progress.spec.total_epochs)
    return f"epoch {epoch}/{progress.spec.total_epochs}, {progress.images_per_second:,.0f} images/s{known}"
