"""The panel of a training: what its bars and words say of the events, and what its button asks for."""

import pytest
from records import tiny

from rigl_nb.report.figures import live
from rigl_nb.runs.attempt import Event

FIRST, SECOND = tiny(), tiny("SET", seed=1)


@pytest.fixture
def shown(monkeypatch) -> list:
    shown = []
    monkeypatch.setattr(live, "display", shown.append)
    return shown


def rows(panel) -> list[tuple[float, str]]:
    return [(row.children[0].value, row.children[1].value) for row in panel.runs.children]


def test_bars_follow_the_events(shown):
    panel = live.Panel()
    with panel.watch([FIRST, SECOND]) as notify:
        notify(Event(FIRST, "progress", 5, "epoch 1/1, validation 50.0 %"))
        notify(Event(SECOND, "progress", 1, "epoch 1/1 <b>"))
        assert rows(panel) == [
            (5 / 11, "RigL (ERK) at 0.2, seed 0: epoch 1/1, validation 50.0 %"),
            (1 / 11, "SET (ERK) at 0.2, seed 1: epoch 1/1 &lt;b&gt;"),
        ]
        assert panel.overall.value == pytest.approx(6 / 22)
        assert panel.words.value.startswith("0 of 2 runs, ")
        notify(Event(FIRST, "done", 11, "test 91.70 %"))
        assert len(rows(panel)) == 1 and panel.overall.value == pytest.approx(12 / 22)
        assert panel.ends.value == "✓ RigL (ERK) at 0.2, seed 0: test 91.70 %"
        notify(Event(SECOND, "failed", text="no luck"))
        assert panel.words.value == "2 of 2 runs, 0 s left" and panel.overall.value == 1
    assert rows(panel) == [] and panel.button.disabled and panel.button.description == "ended"
    assert panel.ends.value.endswith("✗ failed: SET (ERK) at 0.2, seed 1: no luck")


def test_the_button_asks_once_and_says_what_happens(shown):
    panel = live.Panel()
    assert not panel.asked()
    with panel.watch([FIRST]) as notify:
        panel.button.click()
        assert panel.asked() and panel.button.disabled and panel.button.description == "stopping"
        notify(Event(FIRST, "left", text="its checkpoint stays"))
    assert panel.button.description == "stopped"
    assert panel.ends.value == "left: RigL (ERK) at 0.2, seed 0: its checkpoint stays"


def test_it_is_shown_once_and_only_with_something_to_train(shown):
    panel = live.Panel()
    for todo in ([], [FIRST], [SECOND]):
        with panel.watch(todo):
            assert not panel.asked()
    assert shown == [panel.view]


def test_the_latest_ends_stay_in_sight(shown):
    panel, specs = live.Panel(), [tiny(seed=seed) for seed in range(live.ENDS + 2)]
    with panel.watch(specs) as notify:
        for spec in specs:
            notify(Event(spec, "done", 11, "ready"))
    assert panel.ends.value.count("<br>") == live.ENDS - 1
    assert "seed 1:" not in panel.ends.value and f"seed {live.ENDS + 1}:" in panel.ends.value


def test_a_second_batch_begins_with_a_live_button(shown):
    panel = live.Panel()
    with panel.watch([FIRST]):
        pass
    with panel.watch([SECOND]):
        assert not panel.button.disabled and panel.button.description == "Stop"
