"""Stopped by a signal, killed, its parent killed: a run goes on afterwards and is the same run, bit for bit."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import filelock
import pytest
import torch
from driving import run, stored
from records import tiny

from rigl_nb.execution import Execution
from rigl_nb.report import grids
from rigl_nb.runs import engine
from rigl_nb.runs.store import Store

pytestmark = pytest.mark.usefixtures("chatty")
PATIENCE = 600  # seconds until a hanging process is given up
SPECS = [tiny(), tiny("SET")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    run(SPECS, store)
    return stored(store)


@pytest.fixture(autouse=True)
def handlers():
    """Find the process's signal handlers as they were."""
    watched = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in watched]
    yield
    assert [signal.getsignal(number) for number in watched] == before


# ---- a signal to this process

SIGNALS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: SystemExit}


@pytest.mark.parametrize("step", [1, 3, 5, 11])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_leaves_a_checkpoint_and_the_run_goes_on(store, number, step, undisturbed):
    """At the first iteration, at an update of the masks, between two, and at the last."""
    spec, seen = SPECS[0], []

    def hear(event):
        seen.append((event.spec, event.kind))
        if event.step == step:
            signal.raise_signal(number)

    with pytest.raises(SIGNALS[number]) as caught:
        run(SPECS, store, notify=hear)
    if number == signal.SIGTERM:
        assert caught.value.code == 128 + signal.SIGTERM
    assert seen == [*[(spec, "progress")] * step, (spec, "left"), (SPECS[1], "left")], "the next run must not begin"
    assert not store.path(SPECS[1], ".lock").exists()
    assert store.find(spec) is None and store.failure(spec) is None
    assert torch.load(store.path(spec, ".checkpoint"))["step"] == step
    steps = []
    summary = run(SPECS, store, notify=lambda event: steps.append(event.step) if event.spec == spec else None)
    assert summary == engine.Summary(2, {})
    assert steps == [*range(step + 1, 12), 11]
    assert stored(store) == undisturbed
    assert not store.path(spec, ".checkpoint").exists()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_record_is_saved_stops_the_batch(store, number, monkeypatch, undisturbed):
    """The finished run is kept, the next one does not begin: a job's last seconds are not for a new run."""
    plain = Store.save

    def save(self, record):
        signal.raise_signal(number)
        return plain(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", save)
        with pytest.raises(SIGNALS[number]):
            run(SPECS, store)
    assert store.find(SPECS[0]).numbers() == undisturbed[SPECS[0].run_id]
    assert not store.path(SPECS[1], ".lock").exists()


def test_a_second_interrupt_does_not_wait(store):
    def hear(event):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second one must stop here")

    with pytest.raises(KeyboardInterrupt):
        run(SPECS[:1], store, notify=hear)
    assert run(SPECS[:1], store) == engine.Summary(1, {})


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_wait_for_another_process(store, number):
    lock = store.path(SPECS[0], ".lock")
    lock.parent.mkdir(parents=True)
    heard = []

    def hear(event):
        heard.append(event.kind)
        if len(heard) == 2:
            signal.raise_signal(number)

    with filelock.FileLock(lock), pytest.raises(SIGNALS[number]):
        run(SPECS[:1], store, notify=hear)
    assert heard == ["busy", "busy"] and store.failure(SPECS[0]) is None


# ---- the command, stopped again and again

COMMAND = """
import runpy, sys
from dataclasses import replace
from rigl_nb.report import grids
from rigl_nb.runs import progress

progress.LINE_EVERY = 0  # every event is a line: the test sees which runs are under way
grids.PROFILES["smoke"] = replace(grids.PROFILES["smoke"], epochs=60)
sys.argv = "rigl_nb run --section 05_1 --method RigL --multiplier 1 --workers 2".split()
runpy.run_module("rigl_nb", run_name="__main__", alter_sys=True)
"""
PROFILE = replace(grids.PROFILES["smoke"], epochs=60)
LONG = [PROFILE.spec(grids.Row("RigL", init, 0.1), 0) for init in ("Random", "ERK")]


def stop(store, act) -> tuple[int, str]:
    """Start the command, call `act(process)` when both runs are under way; return (exit code, standard error).

    Standard error ends when its last writer does, so this returns when the workers are gone too.
    """
    roots = {"RIGL_BUILD": store.root.parent, "RIGL_RESULTS": store.root.parent / "results"}
    environment = os.environ | {name: str(path) for name, path in roots.items()}
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    watchdog = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        seen, text = set(), ""
        for line in process.stderr:
            text += line
            seen |= {spec.label for spec in LONG if f" {spec.label} at " in line and "epoch" in line}
            if len(seen) == 2:
                break
        assert len(seen) == 2, text
        act(process)
        text += process.stderr.read()
        return process.wait(), text
    finally:
        assert watchdog.is_alive(), "the command did not end"
        watchdog.cancel()


def steps(store) -> list[int]:
    """Return the iterations that a record or a checkpoint holds of each run; -1 where there is neither."""

    def held(spec) -> int:
        file = store.path(spec, ".checkpoint")
        return spec.total_steps if store.find(spec) else torch.load(file)["step"] if file.exists() else -1

    return [held(spec) for spec in LONG]


def went_on(before: list[int], now: list[int]) -> bool:
    """Tell whether every run came further, or is done."""
    return all(b < n or n == spec.total_steps for spec, b, n in zip(LONG, before, now, strict=True))


def test_a_command_stopped_four_times_gives_the_same_numbers(store, tmp_path):
    """Ctrl-C, which every process of the group gets; kill -9 of the parent; SIGTERM, to it and to all; then peace."""
    code, text = stop(store, lambda process: os.killpg(process.pid, signal.SIGINT))
    assert code == 130, text
    assert "Traceback" not in text, text
    assert "goes on from here" in text
    first = steps(store)
    assert min(first) > 0, text

    code, text = stop(store, lambda process: process.kill())
    assert code == -signal.SIGKILL
    second = steps(store)
    assert went_on(first, second), (first, second, text)

    third = second
    for act in (subprocess.Popen.terminate, lambda process: os.killpg(process.pid, signal.SIGTERM)):
        code, text = stop(store, act)
        assert code == 128 + signal.SIGTERM, text
        assert "Traceback" not in text, text
        before, third = third, steps(store)
        assert went_on(before, third), (before, third, text)
    assert not any(store.failure(spec) for spec in LONG)
    left = {spec.run_id: step + 1 for spec, step in zip(LONG, third, strict=True) if step < spec.total_steps}
    assert left, "both runs ended before the last signal: they are too short for this machine"

    execution, begun = Execution.best(threads=1), {}
    summary = engine.run(LONG, store, execution=execution, notify=lambda e: begun.setdefault(e.spec.run_id, e.step))
    assert summary == engine.Summary(len(left), {})
    assert begun == left
    peace = Store(tmp_path / "peace")
    engine.run(LONG, peace, execution=execution)
    for spec in LONG:
        assert store.find(spec).numbers() == peace.find(spec).numbers()
