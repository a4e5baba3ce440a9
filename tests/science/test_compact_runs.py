"""Runs that train live channels alone between updates: the same run, at every stop, and what cannot be one."""

from dataclasses import replace

import pytest
import torch
from driving import PLAIN, drive, equal, numbers, run, tiny

from rigl_nb import iteration
from rigl_nb.execution import Execution
from rigl_nb.runs import engine, workers
from rigl_nb.runs.cluster import Cluster

COMPACT = replace(PLAIN, compact=True)
STOPS = (1, 2, 3, 4, 7, 10, 11, 12, 16, 17, 21, 22)  # before, at and after updates and an epoch's end, at the end


def channels(method="RigL", **fields):
    """Return a run of 22 iterations: updates at 3, 7, 11 and 15, evaluations after 11 and 22."""
    fields = {"init": "Random", "density": 0.3, "structure": "channel", "dropout": 0.0, "batch_size": 128} | fields
    return tiny(method, **fields)


@pytest.mark.parametrize("adam", [False, True])
@pytest.mark.parametrize("method", ["RigL", "Static"])
def test_a_compact_run_is_the_masked_run(method, adam):
    """In single precision, where sums of another order differ in their last bits."""
    fields = {"optimizer": "Adam", "nesterov": False, "learning_rate": 0.003} if adam else {"learning_rate": 0.02}
    spec = channels(method, **fields)
    masked, there = drive(spec, PLAIN)
    small, here = drive(spec, COMPACT)
    assert (small.active, small.test_flops, small.train_flops) == (masked.active, masked.test_flops, masked.train_flops)
    assert small.masks.keys() == masked.masks.keys()
    assert all(torch.equal(mask, masked.masks[name]) for name, mask in small.masks.items())
    for mine, theirs in zip(small.history, masked.history, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
        assert mine["drop_fraction"] == theirs["drop_fraction"] and mine["learning_rate"] == theirs["learning_rate"]
        assert abs(mine["validation_accuracy"] - theirs["validation_accuracy"]) <= 0.5, "one image of 200"
    assert here["sparsifier"].keys() == there["sparsifier"].keys()
    for name, value in there["model"].items():
        torch.testing.assert_close(here["model"][name], value, rtol=0, atol=1e-3)


def sizes(monkeypatch):
    """Return a list that collects how many weights each forward pass has, and whether it is of the training."""
    seen, plain = [], iteration.models.build

    def build(*given):
        model = plain(*given)
        model.register_forward_pre_hook(
            lambda net, inputs: seen.append((sum(p.numel() for p in net.parameters()), net.training))
        )
        return model

    monkeypatch.setattr(iteration.models, "build", build)
    return seen


@pytest.mark.parametrize("look", [None, lambda progress: progress.snapshot()])
def test_only_updates_see_the_whole_model(monkeypatch, look):
    """And the evaluation just before one, whether or not somebody takes snapshots."""
    seen = sizes(monkeypatch)
    drive(channels(), COMPACT, look=look)
    seen, whole = seen[[training for _, training in seen].index(True) :], max(seen)[0]  # FLOPs are counted before
    trained = [size == whole for size, training in seen if training]
    assert [n for n, size in enumerate(trained) if size] == [3, 7, 11, 15] and len(trained) == 22
    evaluated = [size == whole for size, training in seen if not training]
    assert evaluated[0] and not evaluated[-1]


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_resumed_run_is_the_same_run(dropout, tmp_path):
    """k iterations, a file, new objects, the rest: bit for bit, and the snapshots are of the whole model."""
    spec = channels(dropout=dropout)

    def look(progress):
        if progress.step in STOPS:
            torch.save(progress.snapshot(), tmp_path / f"{progress.step}.pt")

    undisturbed, last = drive(spec, COMPACT)
    result, end = drive(spec, COMPACT, look=look)
    assert numbers(result) == numbers(undisturbed) and equal(end, last), "nobody notices a snapshot"
    shapes = {name: p.shape for name, p in iteration.network(spec).state_dict().items()}
    for stop in STOPS:
        state = torch.load(tmp_path / f"{stop}.pt")
        assert {name: value.shape for name, value in state["model"].items()} == shapes
        again, last = drive(spec, COMPACT, state=state)
        assert numbers(again) == numbers(result), stop
        assert last is None or equal(last, end), stop


@pytest.mark.parametrize("executions", [(PLAIN, COMPACT), (COMPACT, PLAIN)])
def test_a_run_may_go_on_in_the_other_way(executions, tmp_path):
    spec, file = channels(learning_rate=0.02), tmp_path / "6.pt"
    result, _ = drive(spec, executions[0], look=lambda p: p.step == 6 and torch.save(p.snapshot(), file))
    again, _ = drive(spec, executions[1], state=torch.load(file))
    assert again.active == result.active and again.train_flops == result.train_flops
    assert again.history[-1]["loss"] == pytest.approx(result.history[-1]["loss"], rel=1e-4)
    assert all(torch.equal(mask, result.masks[name]) for name, mask in again.masks.items())


def test_a_record_says_so(store):
    spec = channels(epochs=1)
    assert run([spec], store, execution=COMPACT).trained == 1
    assert store.find(spec).execution["compact"] is True
    assert Execution.best(compact=True).compact and not Execution.best().compact


WRONG = {
    "weights": ({"structure": "weight"}, "compact True is not allowed with structure weight, .* set compact=False"),
    "kernels": ({"structure": "kernel"}, "compact True is not allowed with structure kernel"),
    "clip": ({"clip": 1.0}, r"compact True is not allowed with clip 1\.0, .* set compact=False"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_run_that_cannot_be_compact_is_told(case):
    fields, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        drive(channels(**fields), COMPACT)


def test_graphs_are_of_one_size():
    with pytest.raises(ValueError, match="compact True is not allowed with graph True"):
        Execution("cuda", compact=True, graph=True)


def test_a_batch_of_other_runs_is_refused_before_it_begins(store):
    with pytest.raises(ValueError, match=r"not allowed with runs of structure weight: .* with --structure channel"):
        engine.run([channels(), tiny()], store, compact=True)
    assert store.records() == []


@pytest.mark.parametrize("where", [1, 2, "tcp://localhost:8786"])
def test_every_worker_hears_of_it(store, where, monkeypatch):
    """Those of other machines choose the rest of their execution themselves."""
    setting = engine._setting([channels()], store, (), None, Cluster.parse(where), True)
    assert setting.compact and (setting.execution is None) is isinstance(where, str)
    told = []
    monkeypatch.setattr(
        workers.turns, "take_turns", lambda todo, setting, *rest: told.append(setting.execution.compact)
    )
    monkeypatch.setattr(workers.signal, "signal", lambda *given: None)  # this process is no worker
    workers._train(None, channels(), setting, None, 1)
    assert told == [True]
