"""Killed at any moment, the engine or its workers: no work is lost, and the run is the same, bit for bit."""

import asyncio
import logging
import random
import signal
from contextlib import suppress
from itertools import count

import psutil
import pytest
from driving import PLAIN, Engine, at_its_beginning, at_line, before_the_name, held, in_the_bytes, run, stored
from records import ORIGIN, files, tiny

from rigl_nb.runs import engine, workers
from rigl_nb.runs.attempt import Setting
from rigl_nb.runs.store import CORRECT, MASKS, Store

SPECS = [tiny(), tiny("SET")]
NAMES = [spec.run_id for spec in SPECS]
LINES = 40_000  # of the package's code that the two runs of a chain go through, roughly
WRITES = 14  # files that a run writes: a checkpoint for every iteration, masks, correct predictions, and its record


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    """Return the numbers of SPECS, trained in this process without a checkpoint, by run id."""
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    run(SPECS, store)
    return stored(store)


def whole(store) -> bool:
    """Tell whether every file is a record, what lies beside it or a checkpoint that can be read, a lock, or hidden."""
    store.records()
    kinds = {".json": store.find, ".checkpoint": lambda spec: held(store, spec), ".lock": lambda spec: True}
    kinds[MASKS] = store.find_masks
    kinds[CORRECT] = lambda spec: not store.find(spec) or store.find_correct(spec) is not None
    seen = [name for name in files(store.root) if not name.split("/")[1].startswith(".")]
    known = {f"{spec.run_id}{ending}": (spec, read) for spec in SPECS for ending, read in kinds.items()}
    return all(name in known and known[name][1](known[name][0]) for name in seen)


# ---- fifty kills

BOMBS = {
    "SIGTERM": (at_line, lambda moments: (signal.SIGTERM, moments.randint(1, LINES // 2))),
    "kill -9": (at_line, lambda moments: (signal.SIGKILL, moments.randint(1, LINES // 2))),
    "kill -9 in the bytes": (in_the_bytes, lambda moments: (moments.randint(1, WRITES),)),
    "kill -9 before the name": (before_the_name, lambda moments: (moments.randint(1, WRITES),)),
}
ENDS = {"SIGTERM": {128 + signal.SIGTERM, -signal.SIGTERM}}  # the second before the engine is there to hear it


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
def test_ten_kills_lose_nothing(seed, tmp_path, undisturbed):
    """Two runs are killed again and again until they are done all the same; then two anew."""
    moments, stores = random.Random(seed), (Store(tmp_path / f"runs-{n}") for n in count())
    store, left = next(stores), [*BOMBS, *BOMBS, "SIGTERM", "kill -9"]
    moments.shuffle(left)
    while left:
        bomb, choose = BOMBS[left[-1]]
        arguments = choose(moments)
        moment = (seed, left[-1], arguments)
        before = [held(store, spec) for spec in SPECS]
        process = Engine(store, SPECS, bomb=bomb, arguments=arguments)
        told = {run_id: step for kind, run_id, step in list(process.hear())[1:] if kind != "left"}
        after = [held(store, spec) for spec in SPECS]
        assert whole(store), (moment, files(store.root))
        for spec, old, new in zip(SPECS, before, after, strict=True):
            assert max(old, told.get(spec.run_id, 0)) <= new, (moment, told, before, after)
            assert store.failure(spec) is None, moment
        if process.end() == 0:  # the runs were over before the bomb went off
            assert stored(store) == undisturbed, moment
            store = next(stores)
        else:
            assert process.end() in ENDS.get(left.pop(), {-signal.SIGKILL}), moment
    missing = engine.missing(SPECS, store)
    assert run(SPECS, store) == engine.Summary(len(missing), {})
    assert stored(store) == undisturbed


@pytest.mark.parametrize("bomb", [in_the_bytes, before_the_name])
def test_what_a_killed_write_leaves_is_cleared_away(bomb, store):
    """A checkpoint can be large, and a machine may be taken away a hundred times."""
    assert Engine(store, SPECS[:1], bomb=bomb, arguments=(5,)).end() == -signal.SIGKILL
    assert any("/." in name for name in files(store.root)), "the kill left a part of a file"
    run(SPECS[:1], store)
    assert [name for name in files(store.root) if not name.endswith((".lock", MASKS, CORRECT))] == [f"{NAMES[0]}.json"]


# ---- a training process is killed


def trainers(store, spec) -> list[psutil.Process]:
    """Return the processes that hold the run's lock."""
    lock, found = str(store.path(spec, ".lock")), []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found += [process] if any(file.path == lock for file in process.open_files()) else []
    return found


def test_a_killed_training_fails_its_own_run_only(store, undisturbed):
    """As the system does when memory runs out. The reason is kept, and the next call trains that run."""
    long, killed = tiny(epochs=10), []

    def kill_first(event):
        if event.spec == long and event.kind == "progress" and not killed:
            (process,) = trainers(store, long)
            killed.append(process.pid)
            process.kill()

    summary = run([long, *SPECS], store, notify=kill_first, workers=2)
    assert killed
    assert summary.trained == 2 and set(summary.failed) == {long.run_id}
    assert "exit code -9" in summary.failed[long.run_id]
    assert stored(store) == undisturbed
    assert store.failure(long) == summary.failed[long.run_id]
    assert run([long, *SPECS], store) == engine.Summary(1, {})
    assert store.failure(long) is None
    other = Store(store.root.parent / "other")
    run([long], other)
    assert store.find(long).numbers() == other.find(long).numbers()


def test_a_training_that_nobody_wants_is_no_failure(store, monkeypatch):
    """A new process may hear its end before it knows what to do about it."""
    monkeypatch.setattr(workers, "_train", at_its_beginning)
    setting, told = Setting(store, (), PLAIN, ORIGIN), []
    end = workers._supervise(SPECS[0], setting, None, 1, told.append, wanted=lambda: False)
    assert (end.kind, told, store.failure(SPECS[0])) == ("left", [], None)


@pytest.mark.parametrize("error", [asyncio.CancelledError, "closed", OSError, ValueError])
def test_dask_does_not_report_what_the_end_of_a_batch_ends(caplog, error):
    """A worker's heartbeat that meets a closing scheduler is no error; whatever else a worker logs is told."""
    said = error in (OSError, ValueError)
    closed = pytest.importorskip("distributed.comm").CommClosedError
    log = logging.getLogger("a worker of dask")
    log.addFilter(workers.wrong)
    log.error("heartbeat", exc_info=(closed if error == "closed" else error)("a stream"))
    log.error("without an exception")
    assert [record.message for record in caplog.records] == ["heartbeat"] * said + ["without an exception"]
