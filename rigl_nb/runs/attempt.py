"""One run, trained under its lock from its checkpoint, with what it has to say."""

import io
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import filelock
import torch

from rigl_nb.data.sources import SOURCES
from rigl_nb.execution import Execution
from rigl_nb.execution.graph import tf32
from rigl_nb.iteration import Legacy, digest
from rigl_nb.runs.record import Record, from_result
from rigl_nb.runs.store import Store, write
from rigl_nb.runs.terminal import count
from rigl_nb.spec import RunSpec
from rigl_nb.train import Progress, train

CHECKPOINT_EVERY = 30.0  # seconds; a kill costs at most the work since the last one


@dataclass(frozen=True)
class Event:
    """What a run has to say. `kind`: progress; or its end: done, failed, busy (another process trains it), left."""

    spec: RunSpec
    kind: str
    step: int = 0
    text: str = ""
    speed: float = 0.0  # images a second, of a run in progress


Notify = Callable[[Event], None]


@dataclass(frozen=True)
class Setting:
    """Where and how the runs of a batch are trained; equal for all of them."""

    store: Store
    published: tuple[Store, ...]  # other stores, from which parents are taken
    execution: Execution | None  # None: what suits the machine that trains
    origin: dict  # of the code, the `provenance` of records
    mark: str = ""  # the store's, for workers on other machines (`Store.mark`)
    compact: bool = False  # of an execution that the machine chooses


class Leave(Exception):
    """Thrown into an attempt that has to end early."""


def attempt(spec: RunSpec, setting: Setting) -> Generator[Progress, None, Event]:
    """Train one run, yielding after every iteration; the event that it returns says how the run ended.

    Leave, thrown into the generator, ends it with a checkpoint. A crash becomes an event, and is kept beside the
    records. A run whose parent is not trained yet is busy.
    """
    store, note = setting.store, ""
    lock = store.path(spec, ".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(lock, timeout=0):
            for partial in lock.parent.glob(f".{lock.stem}.*"):  # of a write that a kill cut short
                partial.unlink(missing_ok=True)
            if not store.finished(spec):
                legacy = spec.parent and inheritance(spec.parent, setting)
                if spec.parent and not legacy:
                    return Event(spec, "busy", text=f"its parent {spec.parent.run_id} is not trained yet")
                note = yield from _train(spec, setting, legacy)
            record = store.find(spec)
    except filelock.Timeout:
        return Event(spec, "busy", text="another process trains it")
    except Leave:
        return Event(spec, "left", text="its checkpoint stays")
    except Exception as error:
        return failed(spec, store, f"{type(error).__name__}: {error}", traceback.format_exc())
    return done(record, note)


def done(record: Record, note: str = "") -> Event:
    """The end of a run that has a record, and what else there is to say of it."""
    spec, worth = record.spec, score(record.test_accuracy, record.test_bits, 2)
    speed = f"{record.seconds:.0f} s, {record.images_per_second:,.0f} {SOURCES[spec.data].unit}s/s"
    return Event(spec, "done", spec.total_steps, f"test {worth}, {speed}{note}")


def score(accuracy: float, bits: float | None, digits: int) -> str:
    """How good a network is, in words: of text the bits per character, else the accuracy."""
    return f"{accuracy:.{digits}f} %" if bits is None else f"{bits:.{digits + 1}f} bits/char"


def busy(spec: RunSpec, store: Store) -> bool:
    """Whether another process trains the run now."""
    lock = store.path(spec, ".lock")
    try:
        with filelock.FileLock(lock, timeout=0) if lock.exists() else nullcontext():
            return False
    except filelock.Timeout:
        return True


def inheritance(spec: RunSpec, setting: Setting) -> Legacy | None:
    """What a finished run leaves to its children, from the first store that has all of it; None where none has.

    Raises ValueError where the run started from other weights than its seed gives here.
    """
    for store in (setting.store, *setting.published):
        if (record := store.find(spec)) and (kept := store.find_masks(spec)):
            if kept[1] != digest(spec):
                raise ValueError(
                    f"seed {spec.seed} gives other weights on {setting.origin['hardware']} than on "
                    f"{record.provenance['hardware']}, where {spec.run_id} was trained: train that run here too"
                )
            return Legacy({name: torch.from_numpy(mask) for name, mask in kept[0].items()}, record.train_flops)
    return None


def failed(spec: RunSpec, store: Store, reason: str, trace: str = "") -> Event:
    """Keep why a run crashed, and say so."""
    with suppress(OSError):  # a full or read-only disk: the reason still reaches the caller
        store.fail(spec, reason, trace)
    return Event(spec, "failed", text=reason)


def underway(progress: Progress) -> Event:
    """Where a run stands, in words."""
    spec, last = progress.spec, progress.history[-1] if progress.history else {}
    accuracy = last.get("validation_accuracy")
    known = "" if accuracy is None else f", validation {score(accuracy, last.get('validation_bits'), 1)}"
    epoch = min(progress.step // spec.steps_per_epoch + 1, spec.total_epochs)
    speed = progress.step * spec.batch_size / progress.seconds
    text = f"epoch {epoch}/{spec.total_epochs}, {speed:,.0f} {SOURCES[spec.data].unit}s/s{known}"
    return Event(spec, "progress", progress.step, text, speed)


def _train(spec: RunSpec, setting: Setting, legacy: Legacy | None) -> Generator[Progress, None, str]:
    """Train from the checkpoint to the record; what a person should know of it, in words."""
    store, mine, origin = setting.store, _counted(setting.execution), setting.origin
    checkpoint = store.path(spec, ".checkpoint")
    state = _resumable(checkpoint, spec, mine)
    execution = _counted(mine, state)
    if state and (state["origin"]["dirty"] or state["origin"]["commit"] != origin["commit"]):
        origin = origin | {"dirty": True}  # trained by more than this commit's code
    steps = train(spec, execution, legacy, state)

    def save(progress: Progress) -> None:
        buffer = io.BytesIO()
        torch.save(progress.snapshot() | {"execution": asdict(execution), "origin": origin}, buffer)
        write(checkpoint, buffer.getvalue())

    saved = time.monotonic()
    while True:
        try:
            progress = next(steps)
        except StopIteration as done:
            if done.value.masks:
                masks = {name: mask.numpy() for name, mask in done.value.masks.items()}
                store.save_masks(spec, masks, digest(spec))
            store.save_correct(spec, done.value.test_correct.numpy())
            store.save(from_result(spec, done.value, execution, origin))
            checkpoint.unlink(missing_ok=True)
            return "" if execution == mine else f", on {count(execution.threads, 'CPU thread')}, as it began"
        if time.monotonic() - saved > CHECKPOINT_EVERY:
            save(progress)
            saved = time.monotonic()
        try:
            yield progress
        except Leave:
            save(progress)
            raise


def _counted(execution: Execution, state: dict | None = None) -> Execution:
    """The execution with what decides a run's numbers: on a GPU TF32, else the CPU threads, its checkpoint's first.

    They may be more than there are cores: slower, but the same run.
    """
    if execution.kind == "cuda":
        return replace(execution, tf32=tf32() if execution.tf32 is None else execution.tf32)
    begun = state and state["execution"]["threads"]
    return replace(execution, threads=begun or execution.threads or torch.get_num_threads())


def _resumable(checkpoint: Path, spec: RunSpec, execution: Execution) -> dict | None:
    """The checkpoint's state; None where there is none, or another device or precision made it."""
    if not checkpoint.exists():
        return None
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if state["run_id"] != spec.run_id or "origin" not in state:
            raise ValueError(f"it is no checkpoint of {spec.run_id}")
        # these may differ: the first is the checkpoint's, the others make no other run
        either = {"threads": None, "sharing": 1, "graph": False, "compact": False}
        made, mine = asdict(Execution()) | state["execution"] | either, asdict(execution) | either
    except Exception as error:  # torch names no single class for a damaged file
        raise ValueError(f"{checkpoint} is damaged ({error}): remove it to train the run from its start") from error
    return state if made == mine else None
