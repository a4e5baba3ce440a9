"""What people see of a batch at work: on standard error, and nothing that a pipe would take for a result."""

import itertools
import sys

import pytest
from records import tiny

from rigl_nb.runs import progress
from rigl_nb.runs.attempt import Event
from rigl_nb.runs.progress import display

FIRST, SECOND = tiny(), tiny("SET", seed=1)


def lines(capsys) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_a_line_for_every_finished_run(capsys):
    with display([FIRST, SECOND], live=False) as notify:
        notify(Event(FIRST, "progress", 5, "epoch 1/1"))
        notify(Event(FIRST, "done", FIRST.total_steps, "test 91.70 %"))
        notify(Event(SECOND, "progress", 5, "epoch 1/1"))
        notify(Event(SECOND, "failed", text="RuntimeError: boom"))
    first, second = lines(capsys)
    assert "1/2" in first and "RigL (ERK)" in first and "0.2" in first and "seed 0" in first
    assert "test 91.70 %" in first and "done" in first
    assert "2/2" in second and "SET (ERK)" in second and "seed 1" in second
    assert "RuntimeError: boom" in second and "failed" in second


def test_a_line_now_and_then(capsys, monkeypatch):
    """Half of one of two equal runs is a quarter; long silence would look like a crash."""
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with display([tiny(epochs=2), tiny(epochs=2, seed=1)], live=False) as notify:
        notify(Event(tiny(epochs=2), "progress", 11, "epoch 2/2"))
    (line,) = lines(capsys)
    assert "25%" in line and "epoch 2/2" in line and "left" in line


def test_the_share_goes_with_the_work(capsys, monkeypatch):
    """One epoch of four is done when the short run ends: 25 %, not half of the runs."""
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    short, long = tiny(), tiny(epochs=3)
    with display([short, long], live=False) as notify:
        notify(Event(short, "done", short.total_steps, "ready"))
        notify(Event(long, "progress", 1, "epoch 1/3"))
    assert "27%" in lines(capsys)[-1]  # (11 + 1) / 44


def test_without_a_terminal_few_lines(capsys):
    with display([FIRST]) as notify:
        for step in range(1, 11):
            notify(Event(FIRST, "progress", step, "epoch 1/1"))
    assert lines(capsys) == []


def test_a_waiting_run_is_no_finished_run(capsys):
    with display([FIRST], live=False) as notify:
        notify(Event(FIRST, "busy", text="another process trains it"))
        notify(Event(FIRST, "done", FIRST.total_steps, "ready"))
    (line,) = lines(capsys)
    assert "1/1" in line


@pytest.mark.parametrize("live", [True, False])
def test_nothing_to_do_says_nothing(capsys, live):
    with display([], live=live):
        pass
    assert lines(capsys) == []


def test_the_live_bar_is_on_standard_error(capsys):
    with display([FIRST, SECOND], live=True) as notify:
        notify(Event(FIRST, "progress", 5, "epoch 1/1"))
        notify(Event(FIRST, "done", FIRST.total_steps, "test 91.70 %"))
        notify(Event(SECOND, "failed", text="RuntimeError: boom"))
    captured = capsys.readouterr()
    assert captured.out == ""
    for text in ("1/2", "2/2", "test 91.70 %", "RuntimeError: boom", "100%"):
        assert text in captured.err, text


def test_a_terminal_gets_the_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with display([FIRST]) as notify:
        notify(Event(FIRST, "progress", 5, "epoch 1/1"))
    assert "\r" in capsys.readouterr().err


def test_an_exception_passes(capsys):
    with pytest.raises(KeyboardInterrupt), display([FIRST], live=True) as notify:
        notify(Event(FIRST, "progress", 5, "epoch 1/1"))
        raise KeyboardInterrupt
    assert capsys.readouterr().out == ""


def test_every_run_under_way_is_shown(capsys, monkeypatch):
    """One line each, the overall share before the first; a run that ended is not shown again."""
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with display([FIRST, SECOND], live=False) as notify:
        notify(Event(FIRST, "progress", 5, "epoch 1/1, 9 images/s"))
        notify(Event(SECOND, "progress", 1, "epoch 1/1, 7 images/s"))
        notify(Event(FIRST, "left", text="its checkpoint stays"))
    alone, first, second, rest = lines(capsys)
    assert "RigL (ERK)" in alone and "RigL (ERK)" in first
    assert "27%" in first and "27%" not in second
    assert second.strip() == "SET (ERK) at 0.2, seed 1: epoch 1/1, 7 images/s"
    assert first.index("RigL (ERK)") == second.index("SET (ERK)")
    assert "SET (ERK)" in rest and "27%" in rest


def test_time_left_does_not_count_what_a_checkpoint_held(capsys, monkeypatch):
    """9 of 11 iterations were there, the tenth took 5 seconds: the last will take as long, and a start is no more."""
    monkeypatch.setattr(progress, "LINE_EVERY", -1.0)
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with display([FIRST], live=False) as notify:
        clock[0] = 5.0
        notify(Event(FIRST, "progress", 9, "epoch 1/1"))
        clock[0] = 10.0
        notify(Event(FIRST, "progress", 10, "epoch 1/1"))
    first, second = lines(capsys)
    assert "? left" in first and "82%" in first
    assert "5 s left" in second and "91%" in second


def test_a_long_training_says_less_and_less(capsys, monkeypatch):
    """Ten hours with an event every 10 seconds: every 20 seconds in the beginning, every 12 minutes in the end."""
    clock = itertools.count(0.0, 10.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    long = tiny(epochs=400)
    with display([long], live=False) as notify:
        for step in range(1, 3601):
            notify(Event(long, "progress", step, "epoch 1/400"))
    shown = lines(capsys)
    assert 100 < len(shown) < 300
    assert "h left" in shown[-1]


def test_live_bars_for_every_run(capsys):
    with display([FIRST, SECOND], live=True) as notify:
        notify(Event(FIRST, "progress", 5, "epoch 1/1, 9 images/s"))
        notify(Event(SECOND, "progress", 1, "epoch 1/1, 7 images/s"))
    shown = capsys.readouterr().err
    assert "9 images/s" in shown and "7 images/s" in shown and "0 of 2 runs" in shown
