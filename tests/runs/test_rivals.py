"""Engines on one store, in threads and processes: each run is trained once, and nobody waits with work to do."""

import signal
import threading

import filelock
import numpy as np
import pytest
from driving import Engine, run, stored, trainings
from records import made, tiny

from rigl_nb.runs import engine, turns
from rigl_nb.runs.store import Store

SPECS = [tiny(), tiny("SET"), tiny("Static"), tiny("Dense")]
NAMES = [spec.run_id for spec in SPECS]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    """Return the numbers of SPECS, trained one after the other in this process, by run id."""
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    run(SPECS, store)
    return stored(store)


@pytest.fixture
def trained(monkeypatch) -> list:
    """Return a list that collects the run ids whose training begins, in order."""
    return trainings(monkeypatch)


# ---- in this process


@pytest.fixture
def elsewhere(store, monkeypatch):
    """Return the lock of the first run, as another process holds it; the engine looks again at once."""
    monkeypatch.setattr(turns, "LOOK_AGAIN", 0.01)
    lock = store.path(SPECS[0], ".lock")
    lock.parent.mkdir(parents=True)
    with filelock.FileLock(lock) as held:
        yield held


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_another_process_trains_is_waited_for(store, workers, elsewhere, undisturbed):
    spec, events = SPECS[0], []

    def hear(event):
        if event.kind != "progress" and (event.spec, event.kind) not in events:
            events.append((event.spec, event.kind))
        if event.kind == "done":
            elsewhere.release()

    assert run(SPECS[:2], store, workers=workers, notify=hear) == engine.Summary(2, {})
    assert events == [(spec, "busy"), (SPECS[1], "done"), (spec, "done")]
    assert store.find(spec).numbers() == undisturbed[spec.run_id]


def test_waiting_starts_no_processes(store, elsewhere, monkeypatch):
    """A process for every look at every busy run would keep the cores from those who train them."""
    monkeypatch.setattr(engine, "on_cluster", lambda *a: pytest.fail("there is nothing to train"))
    looks, second = [], store.path(SPECS[1], ".lock")
    second.parent.mkdir(parents=True)

    def hear(event):
        looks.append(event.kind)
        if len(looks) == 6:
            raise KeyboardInterrupt

    with filelock.FileLock(second), pytest.raises(KeyboardInterrupt):
        run(SPECS[:2], store, workers=2, notify=hear)
    assert looks == ["busy"] * 6


def test_a_run_that_another_process_finishes_is_not_trained_again(store, elsewhere, trained):
    spec, looks = SPECS[0], []

    def hear(event):
        looks.append(event.kind)
        if len(looks) == 3:
            store.save_masks(spec, {"fc.weight": np.ones((10, 64), bool)}, "0" * 64)
            store.save(made(spec, test_accuracy=12.0))
            elsewhere.release()

    summary = run([spec], store, notify=hear)
    assert (summary.failed, summary.left, trained) == ({}, 0, [])
    assert looks == ["busy", "busy", "busy", "done"], "it looks again, as long as it takes"
    assert store.find(spec).test_accuracy == 12.0


def test_two_engines_on_one_store_train_each_run_once(store, trained, undisturbed):
    summaries = []
    second = threading.Thread(target=lambda: summaries.append(run(SPECS, store)))
    second.start()
    summaries.append(run(SPECS, store))
    second.join()
    assert [summary.failed for summary in summaries] == [{}, {}]
    assert sorted(trained) == sorted(undisturbed)
    assert stored(store) == undisturbed


# ---- in processes


def begun(told) -> list:
    """Return (run id, step) of the trainings that began."""
    return [said[1:] for said in told if said[0] == "begun"]


def test_two_engines_started_together_train_each_run_once(store, undisturbed):
    both = [Engine(store, SPECS, wait=("ready",)) for _ in range(2)]
    for one in both:
        one.until("ready")
    for one in both:
        one.line.send("go")
    told = [list(one.hear()) for one in both]
    assert [one.end() for one in both] == [0, 0]
    trained = [started for said in told for started in begun(said)]
    assert sorted(trained) == sorted((name, 0) for name in NAMES)
    for said in told:
        assert sorted(name for what, name, _ in said if what == "done") == sorted(NAMES), "each hears of every end"
    assert stored(store) == undisturbed


def test_an_engine_trains_what_it_can_before_it_waits(store, undisturbed):
    """The first holds a run that it has begun; the second trains all the others, and ends when that one is done."""
    first = Engine(store, SPECS, wait=("progress", NAMES[0], 5))
    first.until("progress", NAMES[0], 5)
    second = Engine(store, SPECS)
    told = second.until("done", NAMES[-1], SPECS[-1].total_steps)
    assert begun(told) == [(name, 0) for name in NAMES[1:]]
    assert told[1] == ("busy", NAMES[0], 0)
    first.line.send("go on")
    assert not begun(first.hear()), "the others are done already"
    told = list(second.hear())
    assert (first.end(), second.end()) == (0, 0)
    assert {what for what, *_ in told} <= {"busy", "done"} and told[-1][:2] == ("done", NAMES[0])
    assert stored(store) == undisturbed


def test_an_engine_takes_over_the_run_of_a_killed_one(store, undisturbed):
    first = Engine(store, SPECS[:2], wait=("progress", NAMES[0], 7))
    first.until("progress", NAMES[0], 7)
    second = Engine(store, SPECS[:2])
    second.until("done", NAMES[1], SPECS[1].total_steps)
    second.until("busy", NAMES[0], 0)
    first.process.kill()
    assert first.end() == -signal.SIGKILL
    told = list(second.hear())
    assert second.end() == 0
    assert begun(told) == [(NAMES[0], 7)], "it goes on from the checkpoint"
    assert stored(store) == {name: undisturbed[name] for name in NAMES[:2]}
