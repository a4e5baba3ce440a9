"""Batches that follow from each other: what is asked for grows with the results, and nothing is tried twice."""

from contextlib import contextmanager

import pytest
from driving import PLAIN, trainings
from records import made, tiny

from rigl_nb.runs import attempt, engine
from rigl_nb.runs.store import Store, finding

FIRST, SECOND, THIRD = (tiny(seed=seed) for seed in range(3))


@pytest.fixture
def trained(monkeypatch) -> list:
    return trainings(monkeypatch)


def growing(*stores):
    """Ask for the second run once the first has a record, and for the third after that."""
    find = finding(*stores)

    def ask():
        chain = [FIRST]
        for spec in (SECOND, THIRD):
            if find(chain[-1]):
                chain.append(spec)
        return chain

    return ask


def test_it_asks_again_until_nothing_is_missing(store, trained):
    summary = engine.campaign(growing(store), store, execution=PLAIN)
    assert summary == engine.Summary(3, {})
    assert trained == [FIRST.run_id, SECOND.run_id, THIRD.run_id]
    assert engine.campaign(growing(store), store, execution=PLAIN) == engine.Summary(0, {})


def test_published_records_count(store, trained):
    results = Store(store.root.parent / "results")
    results.save(made(FIRST))
    summary = engine.campaign(growing(store, results), store, [results], execution=PLAIN)
    assert summary.trained == 2 and trained == [SECOND.run_id, THIRD.run_id]


def test_every_batch_is_shown(store):
    shown, heard = [], []

    @contextmanager
    def show(todo):
        shown.append([spec.run_id for spec in todo])
        yield lambda event: heard.append(event.spec.run_id)

    engine.campaign(growing(store), store, (), show, execution=PLAIN)
    assert shown == [[FIRST.run_id], [SECOND.run_id], [THIRD.run_id]]
    assert set(heard) == {FIRST.run_id, SECOND.run_id, THIRD.run_id}


def test_a_crash_ends_what_follows_from_it_and_is_not_tried_again(store, monkeypatch):
    def crash(*_):
        raise RuntimeError("no luck")
        yield

    monkeypatch.setattr(attempt, "train", crash)
    summary = engine.campaign(growing(store), store, execution=PLAIN)
    assert summary.trained == 0 and list(summary.failed) == [FIRST.run_id] and summary.left == 0


def test_a_deadline_ends_it_with_the_rest_left(store, trained):
    summary = engine.campaign(growing(store), store, execution=PLAIN, deadline=0.0)
    assert summary == engine.Summary(0, {}, left=1) and trained == []


def test_a_store_that_loses_records_does_not_keep_it_busy(store, monkeypatch):
    """As on a file system where writes stay invisible: it ends instead of training the same run for ever."""
    calls = []
    monkeypatch.setattr(engine, "run", lambda todo, *_, **__: calls.append(todo) or engine.Summary(len(todo), {}))
    engine.campaign(lambda: [FIRST], store, execution=PLAIN)
    assert calls == [[FIRST]]


def test_the_first_store_that_holds_a_record_is_read(store):
    other = Store(store.root.parent / "results")
    assert finding(store, other)(FIRST) is None
    other.save(made(FIRST))
    assert finding(store, other)(FIRST) == made(FIRST)
    store.save(made(FIRST, test_accuracy=12.0))
    assert finding(store, other)(FIRST).test_accuracy == 12.0
