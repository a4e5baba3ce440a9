"""The engine trains what is missing, each run once, whatever else happens to the batch."""

import errno
import math
import os
from dataclasses import replace

import pytest
from driving import run, stored, trainings
from records import ORIGIN, made, tiny

from rigl_nb import methods
from rigl_nb.runs import attempt, engine, turns
from rigl_nb.runs.record import RecordError
from rigl_nb.runs.store import Store

SPECS = [tiny(), tiny("SET", seed=1), tiny("Dense")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    """Return the numbers of SPECS, trained one after the other in this process, by run id."""
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    assert run(SPECS, store) == engine.Summary(3, {})
    return stored(store)


@pytest.fixture
def trained(monkeypatch) -> list:
    """Return a list that collects the run ids whose training begins, in order."""
    return trainings(monkeypatch)


@pytest.fixture
def chatty(monkeypatch):
    """Let the engine tell of every iteration."""
    monkeypatch.setattr(turns, "NOTIFY_EVERY", 0)


# ---- what is missing


def test_missing_runs_are_named_once_and_in_order(store):
    a, b, c = SPECS
    assert engine.missing([b, a, b, c, a], store) == [b, a, c]
    store.save(made(a))
    assert engine.missing([b, a, b, c, a], store) == [b, c]
    other = Store(store.root.parent / "results")
    other.save(made(c))
    assert engine.missing([c, b, a], store, other) == [b]
    assert engine.missing([c, b, a]) == [c, b, a]
    assert engine.missing([], store) == []


def test_a_damaged_record_is_not_trained_over(store, trained):
    path = store.save(made(SPECS[0]))
    path.write_text("{")
    for call in (lambda: engine.missing(SPECS, store), lambda: run(SPECS, store)):
        with pytest.raises(RecordError, match="Restore it, or remove it") as caught:
            call()
        assert str(path) in str(caught.value)
    assert trained == [] and path.read_text() == "{"


# ---- in process


def test_a_trained_run_leaves_a_complete_record(store, undisturbed):
    spec = SPECS[0]
    assert run([spec], store) == engine.Summary(1, {})
    one = store.find(spec)
    assert [row["epoch"] for row in one.history] == [1]
    how = {"device": "cpu", "precision": "fp32", "channels_last": False, "threads": 1}
    assert one.execution == how | {"graph": False, "sharing": 1, "tf32": None, "compact": False}
    assert one.seconds > 0 and one.images_per_second > 0
    assert {"commit", "dirty", "date", "hardware", "versions"} <= set(one.provenance)
    assert 0 < one.test_flops < one.train_flops < 1
    assert one.numbers() == undisturbed[spec.run_id]
    left = {path.name for path in store.path(spec).parent.iterdir()} - {"seed-0.lock"}
    assert left == {"seed-0.json", "seed-0.masks.npz", "seed-0.correct"}


def test_what_a_store_holds_is_not_trained_again(store, trained):
    published = Store(store.root.parent / "results")
    store.save(made(SPECS[0]))
    published.save(made(SPECS[1]))
    again = [SPECS[2], *SPECS, SPECS[2]]
    assert run(again, store, published=[published]) == engine.Summary(1, {})
    assert store.find(SPECS[1]) is None
    assert run(SPECS, store, published=[published]) == engine.Summary(0, {})
    assert trained == [SPECS[2].run_id]


def test_events_tell_the_story_in_order(store, chatty):
    events = []
    run(SPECS[:2], store, notify=events.append)
    for spec in SPECS[:2]:
        mine = [event for event in events if event.spec == spec]
        assert [event.step for event in mine[:-1]] == list(range(1, 12))
        assert {event.kind for event in mine[:-1]} == {"progress"}
        assert (mine[-1].kind, mine[-1].step) == ("done", 11)
        assert f"{store.find(spec).test_accuracy:.2f}" in mine[-1].text
    assert events.index(next(e for e in events if e.spec == SPECS[1])) == 12, "one after the other"


def test_a_run_does_not_chatter(store, monkeypatch):
    """It tells of its first iteration, of one every so often, and of its end."""
    monkeypatch.setattr(turns, "NOTIFY_EVERY", math.inf)
    events = []
    run(SPECS[:2], store, notify=lambda event: events.append((event.spec, event.kind, event.step)))
    assert events == [(spec, *said) for spec in SPECS[:2] for said in (("progress", 1), ("done", 11))]


def test_a_run_that_diverges_is_a_result(store):
    spec = tiny("Dense", learning_rate=1e20)
    assert run([spec], store) == engine.Summary(1, {})
    one = store.find(spec)
    assert one.collapsed and one.history[-1]["loss"] is None
    assert store.failure(spec) is None


# ---- crashes


def broken(grad, generator):
    raise RuntimeError("boom")


def test_a_crash_is_kept_and_does_not_stop_the_others(store, monkeypatch, undisturbed):
    monkeypatch.setitem(methods.METHODS, "Mine", replace(methods.RIGL, name="Mine", growth=broken))
    mine, events = tiny("Mine"), []
    summary = run([mine, SPECS[0]], store, notify=events.append)
    assert summary == engine.Summary(1, {mine.run_id: "RuntimeError: boom"})
    assert [(e.spec, e.kind) for e in events if e.kind != "progress"] == [(mine, "failed"), (SPECS[0], "done")]
    assert store.find(mine) is None
    assert store.failure(mine) == "RuntimeError: boom"
    assert "in broken" in store.path(mine, ".failed.json").read_text(), "the traceback shows where"
    assert store.find(SPECS[0]).numbers() == undisturbed[SPECS[0].run_id]

    monkeypatch.setitem(methods.METHODS, "Mine", replace(methods.RIGL, name="Mine"))
    assert run([mine, SPECS[0]], store) == engine.Summary(1, {})
    assert store.failure(mine) is None and store.find(mine) is not None


def test_a_store_that_cannot_be_written(tmp_path):
    """Permission bits do not bind root: a file in the folder's place does."""
    (tmp_path / "file").write_text("mine")
    store = Store(tmp_path / "file" / "runs")
    summary = run(SPECS[:2], store)
    assert summary.trained == 0
    assert set(summary.failed) == {spec.run_id for spec in SPECS[:2]}
    assert all(str(tmp_path / "file") in reason for reason in summary.failed.values())
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_costs_no_training(store, monkeypatch, undisturbed):
    """The record cannot be written; the last checkpoint can still be read."""
    plain = os.replace

    def full(source, target):
        if str(target).endswith(".json"):
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        plain(source, target)

    spec = SPECS[0]
    with monkeypatch.context() as patch:
        patch.setattr(attempt, "CHECKPOINT_EVERY", -math.inf)
        patch.setattr(os, "replace", full)
        summary = run([spec], store)
    assert summary.trained == 0 and "No space left" in summary.failed[spec.run_id]
    assert store.find(spec) is None
    assert store.path(spec, ".checkpoint").exists()
    steps = []
    assert run([spec], store, notify=lambda event: steps.append(event.kind)).trained == 1
    assert steps == ["done"], "nothing is trained again"
    assert store.find(spec).numbers() == undisturbed[spec.run_id]
    assert not store.path(spec, ".checkpoint").exists()


# ---- several at once


def test_two_workers_give_the_same_numbers(store, undisturbed):
    events = []
    summary = run([*SPECS, SPECS[0]], store, workers=2, notify=events.append)
    assert summary == engine.Summary(3, {})
    assert stored(store) == undisturbed
    assert sorted(e.spec.run_id for e in events if e.kind == "done") == sorted(undisturbed)
    assert {e.spec.run_id for e in events if e.kind == "progress"} == set(undisturbed)


def test_workers_name_the_commit_of_the_code_that_they_run(store, monkeypatch):
    """They were forked from what was imported at the start, whatever has been committed since."""
    monkeypatch.setattr(engine, "provenance", lambda device: ORIGIN)
    run(SPECS[:2], store, workers=2)
    assert [one.provenance for one in store.records()] == [ORIGIN, ORIGIN]
