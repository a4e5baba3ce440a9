"""What is measured where no record tells: of which runs, and how a whole run follows from its first iterations."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from records import PLAIN, timed, tiny

from rigl_nb import data
from rigl_nb.runs import cost, probe
from rigl_nb.runs.record import Machine
from rigl_nb.spec import RunSpec

HERE, THERE = Machine.of(PLAIN), Machine("Abacus", PLAIN.precision)
RESNET = RunSpec(data="digits", model="resnet14-8", method="Static", init="ERK", density=0.2, epochs=1)


def test_each_kind_without_a_record_here_is_probed_once(monkeypatch):
    monkeypatch.setattr(probe, "seconds", lambda spec, execution: 7.0)
    there = timed(tiny(seed=5), 1.0, THERE)
    found = probe.of([tiny(), tiny(seed=1), RESNET], [there], PLAIN)
    assert [(one.spec, one.seconds) for one in found] == [(tiny(seed=1), 7.0), (RESNET, 7.0)]
    assert cost.estimate([RESNET], found, HERE).seconds == pytest.approx(7.0)
    here = timed(tiny(seed=5), 1.0, HERE)
    assert [one.spec.model for one in probe.of([tiny(), RESNET], [here], PLAIN)] == ["resnet14-8"]
    narrow = [tiny("Small-Dense"), tiny("Small-Dense", density=0.5)]
    assert [one.spec for one in probe.of([tiny(), *narrow, *narrow], [here], PLAIN)] == narrow


def test_operations_tell_of_large_networks_and_no_data_of_nothing(monkeypatch):
    large = RunSpec(data="cifar100", method="RigL", init="ERK", density=0.1)
    assert probe.of([large], [timed(tiny(), 10.0, THERE)], PLAIN) == []

    def lacking(*arguments):
        raise ValueError("no data")

    monkeypatch.setattr(data, "load", lacking)
    assert probe.of([tiny()], [], PLAIN) == []


def test_a_run_is_its_start_its_iterations_and_its_evaluations(monkeypatch):
    """A made-up training: 5 seconds to begin, then half a second an iteration; its process's first one imports."""
    spec, clock, imports = tiny(epochs=40), [0.0], [60.0]

    def training(spec, execution):
        clock[0] += 5.0 + imports.pop() if imports else 5.0
        for step in range(1, spec.total_steps + 1):
            yield SimpleNamespace(step=step)
            clock[0] += 0.5

    monkeypatch.setattr(probe, "train", training)
    monkeypatch.setattr(probe, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    evaluated = 200 * 40 / (3 * spec.batch_size)
    assert probe.seconds(spec, PLAIN) == pytest.approx(5.0 + 0.5 * (spec.total_steps + evaluated))
    assert clock[0] < 75, "then it stops"


def test_a_slow_iteration_is_timed_once(monkeypatch):
    clock = [0.0]

    def training(spec, execution):
        for step in range(1, spec.total_steps + 1):
            clock[0] += 20.0
            yield SimpleNamespace(step=step)

    monkeypatch.setattr(probe, "train", training)
    monkeypatch.setattr(probe, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    assert probe.seconds(tiny(epochs=40), PLAIN) > 20.0 * tiny(epochs=40).total_steps
    assert clock[0] == 60, "one to warm up, one to begin, one that counts"


def test_a_run_shorter_than_the_probe_ends():
    spec = tiny()
    assert 0 < probe.seconds(spec, PLAIN) < 60


@pytest.mark.parametrize("turn", [1, -1])
def test_a_batch_that_cannot_be_compact_is_refused_and_not_passed_over(monkeypatch, turn):
    """Whichever run of a network would be timed, and where a record tells of all of them."""
    monkeypatch.setattr(probe, "seconds", lambda spec, execution: 7.0)
    channels = RunSpec(data="digits", structure="channel", init="Random", density=0.3)
    batch, compact = [tiny(), channels][::turn], replace(PLAIN, compact=True)
    for records in ([], [timed(tiny(seed=5), 1.0, HERE)]):
        with pytest.raises(ValueError, match="compact is not allowed with runs of structure weight"):
            probe.of(iter(batch), records, compact)
    assert [one.spec for one in probe.of(iter([channels]), [], compact)] == [channels]


def test_no_probe_begins_too_late(monkeypatch):
    monkeypatch.setattr(probe, "seconds", lambda spec, execution: pytest.fail("its time is over"))
    assert probe.of([tiny()], [], PLAIN, until=0.0) == []
