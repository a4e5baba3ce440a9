"""A batch that has a deadline leaves before it, says what is left, and goes on from there at the next call."""

import math
import time
from dataclasses import replace

import filelock
import pytest
from driving import PLAIN, held, run, stored
from records import files, tiny

from rigl_nb.runs import attempt, engine, turns
from rigl_nb.runs.store import Store

SPECS = [tiny(), tiny("SET"), tiny("Dense")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    """Return the numbers of SPECS, trained without a deadline, by run id."""
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    run(SPECS, store)
    return stored(store)


class Clock:
    """A clock that only a turn or a sleep moves on; the turns are listed, the last one goes on for ever."""

    def __init__(self):
        self.now, self.turns = 0.0, [10.0]

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def turn(self) -> None:
        self.now += self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """Return the engine's clock; an iteration takes 10 seconds unless the test says otherwise."""
    clock, plain = Clock(), attempt.train

    def train(*args):
        steps = plain(*args)
        while True:
            clock.turn()
            try:
                progress = next(steps)
            except StopIteration as end:
                return end.value
            yield progress

    for module in (engine, turns):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(attempt, "train", train)
    return clock


def goes_on(store, specs, undisturbed) -> None:
    """Train what is left from where it was left, and compare."""
    before, first = {spec: held(store, spec) for spec in specs}, {}
    left = [spec for spec in specs if not store.find(spec)]

    def hear(event):
        first.setdefault(event.spec, event.step)

    assert run(specs, store, notify=hear) == engine.Summary(len(left), {})
    assert first == {spec: min(before[spec] + 1, 11) for spec in left}
    assert stored(store) == {spec.run_id: undisturbed[spec.run_id] for spec in specs}


# ---- a clock of our own

TURNS = {  # seconds of each iteration, and how many of them end before 100 seconds would be over
    "all alike": ([10.0], 8),
    "faster": ([1.0], 11),
    "one slow": ([10.0, 10.0, 30.0, 10.0], 3),
    "the first one prepares": ([50.0, 10.0], 4),
    "the first one is slow": ([99.0, 10.0], 1),
}


@pytest.mark.parametrize("name", TURNS)
def test_a_batch_leaves_before_its_deadline(store, clock, name, undisturbed):
    """The margin is what the slowest iteration would take twice: the last one is followed by the test."""
    clock.turns, steps = list(TURNS[name][0]), TURNS[name][1]
    events = []
    summary = run(SPECS[:1], store, deadline=100.0, notify=events.append)
    assert clock.now <= 100.0
    assert held(store, SPECS[0]) == steps
    assert summary == (engine.Summary(1, {}) if steps == 11 else engine.Summary(0, {}, 1))
    assert events[-1].kind == ("done" if steps == 11 else "left")
    assert store.failure(SPECS[0]) is None
    clock.turns = [0.0]
    if steps < 11:
        goes_on(store, SPECS[:1], undisturbed)


def test_the_next_call_goes_on_until_nothing_is_left(store, clock, undisturbed):
    """Each sitting says how many runs are left, those included that were not begun."""
    left, ends = [], []
    while not left or left[-1]:
        clock.now = 0.0
        summary = run(SPECS, store, deadline=150.0, notify=lambda event: ends.append((event.kind, event.spec)))
        assert clock.now <= 150.0 and summary.failed == {}
        left.append(summary.left)
        assert left[-1] == len(engine.missing(SPECS, store)), "one that is done is not left"
    assert left == [2, 1, 0]
    assert [spec for kind, spec in ends if kind == "done"] == SPECS
    assert stored(store) == undisturbed


def test_a_run_is_not_begun_that_cannot_be_prepared_in_time(store, clock):
    """The first one's preparation says how long the second one's would take."""
    clock.turns = [30.0, *[1.0] * 11, 30.0, 1.0]
    assert run(SPECS, store, deadline=60.0) == engine.Summary(1, {}, 2)
    assert clock.now <= 60.0


def test_those_that_share_leave_together(store, clock, undisturbed):
    """Three runs need three turns to come round."""
    summary = run(SPECS, store, execution=replace(PLAIN, sharing=3), deadline=150.0)
    assert clock.now + turns.RESERVE + 4 * 10.0 > 150.0 >= clock.now + turns.RESERVE
    assert summary == engine.Summary(0, {}, 3)
    assert [held(store, spec) for spec in SPECS] == [5, 3, 3]
    goes_on(store, SPECS, undisturbed)


def test_a_deadline_ends_the_wait_for_another_process(store, clock):
    lock = store.path(SPECS[0], ".lock")
    lock.parent.mkdir(parents=True)
    with filelock.FileLock(lock):
        assert run(SPECS[:1], store, deadline=60.0) == engine.Summary(0, {}, 1)
    assert 50.0 < clock.now <= 60.0
    assert store.failure(SPECS[0]) is None


# ---- the real clock


@pytest.mark.parametrize("workers", [1, 2])
def test_a_deadline_in_the_past_trains_nothing_and_loses_nothing(store, workers, undisturbed):
    assert run(SPECS, store, workers=workers, deadline=time.monotonic() - 1) == engine.Summary(0, {}, 3)
    assert files(store.root) == []
    goes_on(store, SPECS[:1], undisturbed)
    there = files(store.root)
    assert run(SPECS, store, workers=workers, deadline=-math.inf) == engine.Summary(0, {}, 2)
    assert files(store.root) == there


def test_a_worker_that_comes_too_late_does_not_begin(store):
    """There is time to ask for workers, but none to train when they are there."""
    ends = []
    deadline = time.monotonic() + turns.RESERVE + 0.1
    summary = run(SPECS, store, workers=2, deadline=deadline, notify=lambda event: ends.append(event.kind))
    assert summary == engine.Summary(0, {}, 3)
    assert set(ends) <= {"left"}
    assert not [name for name in files(store.root) if not name.endswith(".lock")]
