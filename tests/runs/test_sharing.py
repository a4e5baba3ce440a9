"""Runs that take turns in one process: each is the same, bit for bit, as when it has the process to itself."""

import gc
import itertools
import signal
import weakref
from dataclasses import replace

import filelock
import pytest
import torch
from driving import PLAIN, held, run, stored
from records import tiny

from rigl_nb import methods, train
from rigl_nb.runs import engine, turns
from rigl_nb.runs.cluster import Cluster
from rigl_nb.runs.store import Store

SPECS = [tiny(), tiny("Dense"), tiny("SET", dropout=0.2), tiny("Small-Dense"), tiny("Static", seed=1)]
SIGNALS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: SystemExit}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    """Return the numbers of SPECS, trained one after the other, by run id."""
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    assert run(SPECS, store) == engine.Summary(5, {})
    return stored(store)


@pytest.fixture(autouse=True)
def chatty(monkeypatch):
    """Let the engine tell of every iteration."""
    monkeypatch.setattr(turns, "NOTIFY_EVERY", 0)


def share(specs, store, number, notify=lambda event: None):
    """Train with `number` runs under way at a time."""
    return run(specs, store, execution=replace(PLAIN, sharing=number), notify=notify)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_runs_that_take_turns_are_the_same_runs(store, number, undisturbed):
    events = []
    assert share(SPECS, store, number, events.append) == engine.Summary(5, {})
    assert stored(store) == undisturbed
    turns = {spec: [place for place, event in enumerate(events) if event.spec == spec] for spec in SPECS}
    assert list(dict.fromkeys(event.spec for event in events)) == SPECS, "they begin in the given order"
    together = 0
    for spec, mine in turns.items():
        assert [events[place].step for place in mine] == [*range(1, 12), 11]
        for one, next_one in itertools.pairwise(mine):
            between = [event.spec for event in events[one + 1 : next_one]]
            under_way = {other for other in SPECS if turns[other][0] < one and next_one < turns[other][-1]} - {spec}
            assert under_way <= set(between) and len(between) == len(set(between)), "each has one turn in a round"
            together = max(together, 1 + len(under_way))
    assert together == number
    assert store.find(SPECS[0]).execution["sharing"] == number


def test_a_finished_run_is_gone_when_the_next_one_is_prepared(store, monkeypatch):
    """Two networks at a time would need the memory of two."""
    models, alive, plain = [], [], train.prepare

    def prepare(*arguments):
        gc.collect()
        alive.append(sum(model() is not None for model in models))
        parts = plain(*arguments)
        models.append(weakref.ref(parts.model))
        return parts

    monkeypatch.setattr(train, "prepare", prepare)
    assert share(SPECS[:3], store, 1) == engine.Summary(3, {})
    assert alive == [0, 0, 0]


@pytest.mark.parametrize(
    ("workers", "jobs", "gpus", "sharing"), [(1, 4, 1, 4), (2, 4, 1, 8), (8, 1, 4, 2), (3, 2, 2, 4), (2, 1, 0, 1)]
)
def test_records_say_how_many_runs_share_a_gpu(monkeypatch, tmp_path, workers, jobs, gpus, sharing):
    """Workers' processes too, each of which trains so many."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    setting = engine._setting([], Store(tmp_path), (), None, Cluster(workers, jobs=jobs))
    assert setting.execution.sharing == sharing


def test_a_crash_does_not_stop_those_that_share(store, monkeypatch, undisturbed):
    def broken(grad, generator):
        raise RuntimeError("boom")

    monkeypatch.setitem(methods.METHODS, "Mine", replace(methods.RIGL, name="Mine", growth=broken))
    mine, events = tiny("Mine"), []
    summary = share([SPECS[0], mine, SPECS[2], SPECS[4]], store, 3, events.append)
    assert summary == engine.Summary(3, {mine.run_id: "RuntimeError: boom"})
    assert [event.kind for event in events if event.spec == mine] == ["progress", "progress", "failed"]
    assert store.failure(mine) == "RuntimeError: boom"
    assert stored(store) == {spec.run_id: undisturbed[spec.run_id] for spec in (SPECS[0], SPECS[2], SPECS[4])}
    assert not [path for path in store.root.rglob("*.checkpoint")]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_leaves_a_checkpoint_of_every_run_under_way(store, number, undisturbed):
    last, events = {}, []
    before = [signal.getsignal(known) for known in SIGNALS]

    def hear(event):
        events.append(event)
        if event.kind == "progress":
            last[event.spec] = event.step
        if event.kind == "progress" and event.spec == SPECS[1] and event.step == 5:
            signal.raise_signal(number)

    with pytest.raises(SIGNALS[number]):
        share(SPECS[:3], store, 2, hear)
    assert [signal.getsignal(known) for known in SIGNALS] == before
    assert list(last) == SPECS[:2] and last[SPECS[1]] == 5
    assert [held(store, spec) for spec in SPECS[:3]] == [last[SPECS[0]], 5, 0]
    assert not store.path(SPECS[2], ".lock").exists(), "the third is not begun"
    ends = {event.spec: event for event in events[-3:]}
    assert set(ends) == set(SPECS[:3]) and {event.kind for event in ends.values()} == {"left"}
    assert ["begun" in ends[spec].text for spec in SPECS[:3]] == [False, False, True]
    assert not any(store.failure(spec) for spec in SPECS[:3])

    steps = []
    assert share(SPECS[:3], store, 2, lambda event: steps.append((event.spec, event.step))) == engine.Summary(3, {})
    assert min(step for spec, step in steps if spec == SPECS[0]) == last[SPECS[0]] + 1
    assert min(step for spec, step in steps if spec == SPECS[1]) == 6
    assert stored(store) == {spec.run_id: undisturbed[spec.run_id] for spec in SPECS[:3]}


def test_a_run_whose_turn_never_came_is_not_begun(store):
    """The second run is next when the first one's second iteration ends the sitting."""

    def hear(event):
        said[event.spec] = event.text
        if event.step == 2:
            signal.raise_signal(signal.SIGTERM)

    said = {}
    with pytest.raises(SystemExit):
        share(SPECS[:2], store, 2, hear)
    assert held(store, SPECS[0]) == 2
    there = {spec: store.path(spec, ".checkpoint").exists() for spec in SPECS[:2]}
    assert {spec: "checkpoint" in text for spec, text in said.items()} == there


def test_a_listener_that_always_crashes_costs_no_training(store, undisturbed):
    """As one that prints into a closed pipe: every run under way has its checkpoint when the exception arrives."""
    last, broken = {}, []

    def hear(event):
        last.setdefault(event.spec, event.step)
        last[event.spec] = max(last[event.spec], event.step)
        if event.step == 4 or broken:
            broken.append(event)
            raise BrokenPipeError("closed")

    with pytest.raises(BrokenPipeError) as caught:
        share(SPECS[:2], store, 2, hear)
    assert caught.tb, "somebody holds the exception, and with it every frame"
    assert [held(store, spec) for spec in SPECS[:2]] == [last[spec] for spec in SPECS[:2]]
    for spec in SPECS[:2]:
        with filelock.FileLock(store.path(spec, ".lock"), timeout=0):
            assert store.failure(spec) is None
    assert share(SPECS[:2], store, 2) == engine.Summary(2, {})
    assert stored(store) == {spec.run_id: undisturbed[spec.run_id] for spec in SPECS[:2]}
