"""The order of the campaign: every run once, the closest sentence first, and what has a record is not trained."""

import pytest
from records import made

from rigl_nb.claims import judge
from rigl_nb.experiments import grids, inventory
from rigl_nb.report.sections import ladder, priorities
from rigl_nb.runs.store import Store


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("RIGL_RESULTS", str(tmp_path / "results"))
    return Store(tmp_path / "results")


def test_every_run_of_the_campaign_is_in_one_step(store):
    found = priorities.steps(ladder.rungs())
    whole = inventory.together(judge.FULL, store)
    assert found["runs"].sum() == whole.missing == len(whole.todo) + len(whole.future)
    hours = inventory.gpu_hours([*whole.todo.values(), *whole.future])
    assert found["GPU-hours"].sum() == pytest.approx(hours) == found["GPU-hours so far"].iloc[-1]
    first = found.iloc[0]
    assert (first["runs"], first["GPU-hours"]) == (2 * 2 * 2 * 7, 112), "RigL and SET, two starts, two densities"
    assert found["runs"].min() > 0


def test_what_has_a_record_is_not_counted_again(store):
    before = priorities.steps(ladder.rungs())
    spec = grids.specs("05_1", "paper", method="RigL", density=0.1, multiplier=1)[0]
    store.save(made(spec))
    after = priorities.steps(ladder.rungs())
    assert after["runs"].iloc[0] == before["runs"].iloc[0] - 1
    assert after["GPU-hours so far"].iloc[-1] == before["GPU-hours so far"].iloc[-1] - 2
