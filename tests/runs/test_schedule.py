"""A simulated campaign: what no schedule can beat, what list scheduling promises, and cases worked out by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rigl_nb.runs.schedule import Schedule, Turn, schedule


@st.composite
def campaigns(draw):
    """Return durations, and for some runs a parent that stands before or behind them."""
    times = draw(st.lists(st.integers(0, 50), min_size=1, max_size=25))
    seconds = {f"run-{number}": float(time) for number, time in enumerate(times)}
    names = draw(st.permutations(list(seconds)))  # a parent comes before its children in this order
    parents = {}
    for place in range(1, len(names)):
        if draw(st.booleans()):
            parents[names[place]] = names[draw(st.integers(0, place - 1))]
    return seconds, parents, draw(st.integers(1, 8))


def chain(run, seconds, parents) -> float:
    """Return the seconds of a run and all that it waits for."""
    return seconds[run] + (chain(parents[run], seconds, parents) if run in parents else 0.0)


@given(campaigns())
def test_the_bounds_of_list_scheduling(campaign):
    seconds, parents, devices = campaign
    found = schedule(seconds, devices, parents)
    total, longest = sum(seconds.values()), max(chain(run, seconds, parents) for run in seconds)
    assert max(total / devices, longest) - 1e-9 <= found.makespan <= total / devices + longest + 1e-9
    assert 0 <= found.idle < 1 or found.makespan == 0
    assert found.idle == pytest.approx(1 - total / (devices * found.makespan) if found.makespan else 0.0)


@given(campaigns())
def test_every_run_has_one_turn_after_its_parent_and_no_device_has_two(campaign):
    seconds, parents, devices = campaign
    turns = {turn.run: turn for turn in schedule(seconds, devices, parents).turns}
    assert turns.keys() == seconds.keys()
    for run, turn in turns.items():
        assert turn.end - turn.begin == pytest.approx(seconds[run])
        assert run not in parents or turns[parents[run]].end <= turn.begin
    for device in range(devices):
        mine = sorted((turn.begin, turn.end) for turn in turns.values() if turn.device == device)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(mine))


def test_the_order_of_the_list_is_the_order_of_training():
    found = schedule({"a": 3.0, "b": 1.0, "c": 1.0, "d": 1.0}, devices=2)
    assert found.turns == (Turn("a", 0, 0, 3), Turn("b", 1, 0, 1), Turn("c", 1, 1, 2), Turn("d", 1, 2, 3))
    assert (found.makespan, found.idle) == (3.0, 0.0)


def test_a_child_waits_and_others_go_before_it():
    found = schedule({"ticket": 1.0, "pruning": 2.0, "other": 1.0}, 2, {"ticket": "pruning"})
    assert [turn.run for turn in found.turns] == ["pruning", "other", "ticket"]
    assert found.makespan == 3.0 and found.idle == pytest.approx(1 / 3)


def test_a_parent_that_is_not_asked_for_is_done():
    assert schedule({"ticket": 1.0}, 1, {"ticket": "pruning"}).makespan == 1.0


def test_nothing_takes_no_time():
    assert schedule({}, 3) == Schedule((), 3) and schedule({}, 3).makespan == schedule({}, 3).idle == 0.0


@pytest.mark.parametrize(
    ("seconds", "devices", "parents", "said"),
    [
        ({"a": 1.0}, 0, {}, "devices 0 is not allowed"),
        ({"a": -1.0}, 1, {}, r"-1\.0 seconds of run 'a'"),
        ({"a": float("nan")}, 1, {}, "nan seconds of run 'a'"),
        ({"a": 1.0, "b": 1.0}, 1, {"a": "b", "b": "a"}, "cycle.*'a', 'b'"),
    ],
)
def test_what_cannot_be_scheduled(seconds, devices, parents, said):
    with pytest.raises(ValueError, match=said):
        schedule(seconds, devices, parents)


def test_ten_thousand_runs_on_many_devices():
    found = schedule({f"run-{n}": float(n % 7 + 1) for n in range(10_000)}, 64)
    assert len(found.turns) == 10_000 and found.idle < 0.01
