"""A crashed run goes on from its checkpoint, or says which file stands in the way."""

import errno
import itertools
import math
import os
import signal
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from driving import PLAIN, crashing, held, run
from records import files, tiny

from rigl_nb.execution import Execution
from rigl_nb.runs import attempt, engine, turns
from rigl_nb.runs.store import Store

SPEC, OTHER = tiny(), tiny("Dense")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    """Return the numbers of the run, trained in one go."""
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    run([SPEC], store)
    return store.find(SPEC).numbers()


@pytest.fixture(autouse=True)
def chatty(monkeypatch):
    """Let the engine tell of every iteration."""
    monkeypatch.setattr(turns, "NOTIFY_EVERY", 0)


@pytest.fixture
def often(monkeypatch):
    """Let every iteration end with a checkpoint."""
    monkeypatch.setattr(attempt, "CHECKPOINT_EVERY", -math.inf)


@pytest.fixture
def stopped(store, monkeypatch):
    """Return a spec whose run crashed in iteration 7, with the checkpoint of iteration 6."""
    with crashing(monkeypatch, 7):
        assert run([SPEC], store).failed == {SPEC.run_id: "RuntimeError: stop"}
    return SPEC


def steps_of(spec, store, execution=PLAIN) -> list[int]:
    steps = []
    summary = run([spec], store, execution=execution, notify=lambda event: steps.append(event.step))
    assert summary == engine.Summary(1, {})
    return steps[:-1]


def test_a_stopped_run_goes_on_from_its_checkpoint(store, stopped, undisturbed):
    assert steps_of(stopped, store) == [7, 8, 9, 10, 11]
    assert store.find(stopped).numbers() == undisturbed
    assert not store.path(stopped, ".checkpoint").exists()


def test_a_checkpoint_of_another_device_starts_anew(store, stopped, undisturbed):
    file = store.path(stopped, ".checkpoint")
    state = torch.load(file)
    state["execution"]["device"] = "cuda"
    torch.save(state, file)
    assert steps_of(stopped, store) == list(range(1, 12))
    assert store.find(stopped).numbers() == undisturbed


@pytest.mark.parametrize("changed", [{"graph": True}, {"sharing": 4}, {"compact": True}, {"tf32": None}, {"tf32": ...}])
def test_a_checkpoint_goes_on_where_company_graphs_or_size_differ(store, stopped, undisturbed, changed):
    """A replay gives the numbers of its function; a checkpoint from before `tf32` was stated has none."""
    file = store.path(stopped, ".checkpoint")
    state = torch.load(file)
    kept = {name: value for name, value in (state["execution"] | changed).items() if value is not ...}
    torch.save(state | {"execution": kept}, file)
    assert steps_of(stopped, store) == [7, 8, 9, 10, 11]
    assert store.find(stopped).numbers() == undisturbed


def test_a_record_of_a_gpu_states_tf32():
    precision = torch.backends.cudnn.conv.fp32_precision
    assert attempt._counted(Execution("cuda")).tf32 is (precision == "tf32")
    assert attempt._counted(Execution("cuda", tf32=False)).tf32 is False and attempt._counted(PLAIN).tf32 is None


def test_a_record_names_one_execution(store, stopped):
    """Half a run in float32 and half in bfloat16 is neither: the record could not say so."""
    other = Execution(device="cpu", precision="bf16", channels_last=False, threads=1)
    assert steps_of(stopped, store, other) == list(range(1, 12))
    assert store.find(stopped).execution["precision"] == "bf16"


def test_a_record_names_one_commit(store, stopped, monkeypatch):
    """Half a run by changed code is not the commit's: it starts anew, or its record says that it is dirty."""
    before = engine.provenance("cpu")
    then = before | {"commit": "f" * 40, "dirty": False}
    monkeypatch.setattr(engine, "provenance", lambda device: then)
    steps = steps_of(stopped, store)
    assert steps == list(range(1, 12)) or store.find(stopped).provenance["dirty"]


DAMAGE = {
    "empty": lambda file: file.write_bytes(b""),
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:5_000]),
    "overwritten": lambda file: file.write_bytes(b"\0" * 5_000),
    "of another kind": lambda file: torch.save({"masks": {}}, file),
    "of another run": lambda file: torch.save(torch.load(file) | {"run_id": "other/seed-0"}, file),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_named_with_the_way_out(store, stopped, damage, undisturbed):
    file = store.path(stopped, ".checkpoint")
    DAMAGE[damage](file)
    summary = run([stopped, OTHER], store)
    assert summary.trained == 1, "the other run is trained"
    reason = summary.failed[stopped.run_id]
    assert str(file) in reason and "remove it" in reason
    file.unlink()
    assert steps_of(stopped, store) == list(range(1, 12))
    assert store.find(stopped).numbers() == undisturbed


def test_a_crash_in_a_worker_is_kept(store):
    """The worker's checkpoint is damaged, so it raises."""
    file = store.path(SPEC, ".checkpoint")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"damaged")
    summary = run([SPEC, OTHER], store, workers=2)
    assert summary.trained == 1
    assert str(file) in summary.failed[SPEC.run_id]
    assert store.failure(SPEC) == summary.failed[SPEC.run_id]
    assert store.find(OTHER) is not None


def test_a_listener_that_crashes_costs_no_training(store, undisturbed):
    """Its exception reaches the caller; the run is none the worse."""

    def hear(event):
        if event.step == 7:
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        run([SPEC, OTHER], store, notify=hear)
    assert held(store, SPEC) == 7 and store.failure(SPEC) is None
    assert not store.path(OTHER, ".lock").exists(), "the next one is not begun"
    assert steps_of(SPEC, store) == [8, 9, 10, 11]
    assert store.find(SPEC).numbers() == undisturbed


# ---- a full disk, a read-only one


def fill(monkeypatch, allowed: int) -> None:
    """Let the disk be full when `allowed` files more are written."""
    plain, written = os.fsync, itertools.count()

    def fsync(handle):
        if next(written) >= allowed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(handle)

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_disk_that_fills_up_keeps_the_checkpoint_before(store, often, monkeypatch, undisturbed):
    """The reason cannot be written, but it is said."""
    events = []
    with monkeypatch.context() as patch:
        fill(patch, allowed=5)
        summary = run([SPEC], store, notify=lambda event: events.append((event.kind, event.step)))
    assert summary.trained == 0 and "No space left" in summary.failed[SPEC.run_id]
    assert events == [*(("progress", step) for step in range(1, 6)), ("failed", 0)]
    assert files(store.root) == [f"{SPEC.run_id}.checkpoint", f"{SPEC.run_id}.lock"]
    assert steps_of(SPEC, store) == list(range(6, 12))
    assert store.find(SPEC).numbers() == undisturbed


@pytest.mark.parametrize("way", ["deadline", "signal"])
def test_a_full_disk_at_the_end_of_a_sitting_is_said(store, monkeypatch, way, undisturbed):
    """The checkpoint of the sitting before stays: the work since then is lost, and nobody is told otherwise."""
    events, clock = [], SimpleNamespace(now=0.0)

    def leave(step):
        def hear(event):
            events.append(event)
            if event.step == step:
                clock.now = math.inf if way == "deadline" else 0.0
                signal.raise_signal(signal.SIGTERM) if way == "signal" else None

        clock.now = 0.0
        with pytest.raises(SystemExit) if way == "signal" else nullcontext():
            return run([SPEC], store, deadline=1e9, notify=hear)

    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=lambda: clock.now))
    leave(3)
    assert held(store, SPEC) == 3
    with monkeypatch.context() as patch:
        fill(patch, allowed=0)
        summary = leave(7)
    assert held(store, SPEC) == 3
    assert (events[-1].kind, events[-1].text) == ("failed", "OSError: [Errno 28] No space left on device")
    if way == "deadline":
        assert summary == engine.Summary(0, {SPEC.run_id: events[-1].text}, 0)
    clock.now = 0.0
    assert steps_of(SPEC, store) == list(range(4, 12))
    assert store.find(SPEC).numbers() == undisturbed


def test_a_read_only_store_is_an_error_of_every_run(store, monkeypatch):
    """Permission bits do not bind root: here nothing below the store can be opened for writing."""
    plain = os.open

    def refuse(path, flags, *mode, **options):
        if str(path).startswith(str(store.root)) and flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return plain(path, flags, *mode, **options)

    for spec in (SPEC, OTHER):
        store.path(spec).parent.mkdir(parents=True)
    monkeypatch.setattr(os, "open", refuse)
    summary = run([SPEC, OTHER], store)
    assert (summary.trained, summary.left, set(summary.failed)) == (0, 0, {SPEC.run_id, OTHER.run_id})
    assert all("Read-only file system" in reason for reason in summary.failed.values())
    assert files(store.root) == []
