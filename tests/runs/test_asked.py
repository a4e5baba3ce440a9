"""A batch that somebody asks to stop: it leaves checkpoints, tells what is left, and ends as if undisturbed."""

from itertools import count

import pytest
import torch
from driving import PLAIN, run, stored
from records import tiny

from rigl_nb.runs import engine
from rigl_nb.runs.store import Store

pytestmark = pytest.mark.usefixtures("chatty")
SPECS = [tiny(), tiny("SET")]
LONG = [tiny(epochs=15), tiny("SET", epochs=15)]  # for processes, which tell of themselves only now and then


@pytest.mark.parametrize(("workers", "specs"), [(1, SPECS), (2, LONG)])
def test_a_batch_that_is_asked_to_stop_goes_on_from_its_checkpoints(store, workers, specs, tmp_path):
    undisturbed = Store(tmp_path / "undisturbed")
    run(specs, undisturbed)
    pressed, seen = [], {}

    def hear(event):
        seen.setdefault(event.spec.run_id, []).append((event.kind, event.step))
        if event.step >= 5:
            pressed.append(True)

    summary = run(specs, store, workers=workers, asked=lambda: bool(pressed), notify=hear)
    assert summary == engine.Summary(trained=0, failed={}, left=2)
    assert all(heard[-1][0] == "left" for heard in seen.values()) and len(seen) == 2
    held = {spec: store.path(spec, ".checkpoint") for spec in specs}
    steps = {spec.run_id: torch.load(file)["step"] for spec, file in held.items() if file.exists()}
    assert max(steps.values()) >= 5
    first = {}
    summary = run(specs, store, workers=workers, notify=lambda e: first.setdefault(e.spec.run_id, e.step))
    assert summary == engine.Summary(trained=2, failed={})
    assert all(first[run_id] > step for run_id, step in steps.items()), "nothing is trained twice"
    assert stored(store) == stored(undisturbed)


def test_nothing_begins_once_it_is_asked(store):
    assert run(SPECS, store, asked=lambda: True) == engine.Summary(0, {}, left=2)
    assert not store.root.exists()


def test_a_campaign_that_is_asked_to_stop_asks_for_no_more_runs(store):
    """The button between two batches: the second is planned, not begun."""
    calls = count()
    batches = [SPECS[:1], SPECS[:2]]
    summary = engine.campaign(
        lambda: batches[min(next(calls), 1)], store, execution=PLAIN, asked=lambda: store.find(SPECS[0]) is not None
    )
    assert summary == engine.Summary(trained=1, failed={}, left=1)
    assert store.find(SPECS[1]) is None
