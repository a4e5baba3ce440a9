"""Stopped by a signal: a run goes on afterwards and is the same run, bit for bit."""

import signal

import filelock
import pytest
import torch
from driving import run, stored
from records import tiny

from rigl_nb.runs import engine
from rigl_nb.runs.store import Store

pytestmark = pytest.mark.usefixtures("chatty")
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
