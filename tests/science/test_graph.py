"""What is recorded for a GPU: on the CPU by a recorder of operations, on a GPU against the eager iterations."""

from dataclasses import replace

import pytest
import torch
from driving import equal, numbers, tiny
from recorder import graphed, run, saved, tensors
from records import PLAIN

from rigl_nb import data, train
from rigl_nb.execution import Execution, graph
from rigl_nb.iteration import iteration, prepare

FP32 = ("Dense", "Small-Dense", "Static", "SET", "SNFS", "RigL", "RigL-SM", "Pruning")


@pytest.mark.parametrize(("method", "precision"), [*((method, "fp32") for method in FP32), ("RigL", "bf16")])
def test_replays_equal_eager_iterations(recorded, method, precision):
    """Over warm-up, decays, mask updates and both sizes of a batch, step by step, bit for bit."""
    spec, execution = tiny(method), replace(PLAIN, precision=precision)
    want, result = run(spec, execution)
    assert not recorded
    found, again = run(spec, graphed(execution))
    assert len(recorded) == 2, "gradients and descent"
    assert all(len(replay.calls) > 50 for replay in recorded[:1])
    for step, (a, b) in enumerate(zip(want, found, strict=True), start=1):
        assert equal(a, b), step
    assert numbers(result) == numbers(again)


def test_a_snapshot_of_replays_goes_on(recorded):
    spec = tiny("RigL")
    want, result = run(spec, PLAIN)
    for stop in (2, 9, 13):
        _, snapshot = run(spec, graphed(PLAIN), stop=stop)
        state = torch.load(saved(snapshot), weights_only=True)
        found, again = run(spec, graphed(PLAIN), state)
        assert len(found) == spec.total_steps - stop and equal(found[-1], want[-1]), stop
        assert numbers(result) == numbers(again)


def test_a_run_goes_on_with_replays_from_any_position_of_an_epoch(recorded):
    """The short batch of an epoch's end may be among those before the record: descent waits for the gradients'."""
    spec, want, states = tiny("RigL", delta_t=16), [], []
    for progress in train.train(spec, PLAIN):
        want.append({name: value.clone() for name, value in progress.snapshot()["model"].items()})
        states.append(torch.load(saved(progress.snapshot()), weights_only=True))
    for state in states[:11]:
        steps = train.train(spec, graphed(PLAIN), state=state)
        for _ in range(7):
            progress = next(steps)
            assert equal(progress.snapshot()["model"], want[progress.step - 1]), (state["step"], progress.step)


@pytest.mark.parametrize("short", [0, 1, 2, 3])
def test_descent_reads_the_gradients_that_replays_leave(recorded, short):
    spec, execution = tiny("Static"), graphed(PLAIN)
    dataset, parts = data.load("digits"), prepare(spec, execution)
    iterate = iteration(spec, execution, parts, dataset.source, dataset.train)
    for step in range(7):
        iterate(torch.arange(37 if step == short else spec.batch_size))
    descent = next(one for one in recorded if any("sgd" in str(call[0]) for call in one.calls))
    read = {tensor.data_ptr() for call in descent.calls for tensor in tensors(call[1:3])}
    assert all(p.grad.data_ptr() in read for p in parts.model.parameters())


def test_the_recorder_would_notice_a_constant(recorded):
    """A learning rate that the host holds is frozen into the record: the stand-in must show that."""
    weight, rate = torch.ones(3), [1.0]
    replay = graph.Replay(lambda: weight.mul_(rate[0]), (), enabled=True)
    for _ in range(graph.WARM_UP + 1):
        replay()
    rate[0] = 2.0
    replay()
    assert weight.tolist() == [1, 1, 1]


QUESTIONS = {
    "a value": lambda weight: weight.mul_(float(weight.sum())),
    "a mask's entries": lambda weight: weight.mul_(weight[weight > 0].sum()),
    "entries to write": lambda weight: weight.index_put_((weight > 0,), torch.ones(())),
    "masked_select": lambda weight: weight.masked_select(weight > 0),
    "unique": lambda weight: weight.unique(),
    "a number from the host": lambda weight: weight.mul_(torch.tensor([2.0])),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_recorder_would_notice_a_question(recorded, question):
    weight = torch.ones(3)
    replay = graph.Replay(lambda: QUESTIONS[question](weight), (), enabled=True)
    for _ in range(graph.WARM_UP):
        replay()
    with pytest.raises(AssertionError, match="wait"):
        replay()


def test_a_disabled_replay_is_the_function(recorded):
    calls = []
    replay = graph.Replay(lambda: calls.append(1), (), enabled=False)
    for _ in range(9):
        replay()
    assert len(calls) == 9 and not recorded


def test_graphs_need_a_gpu():
    with pytest.raises(ValueError, match=r"graph True is not allowed on device 'cpu'"):
        Execution(graph=True)


# ---- on a GPU

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
CUDA = Execution("cuda", graph=False)


@gpu
@pytest.mark.parametrize("method", ["Dense", "RigL", "SET", "SNFS", "RigL-SM", "Pruning"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_graphs_equal_eager_iterations_on_a_gpu(method, precision):
    spec, execution = tiny(method, epochs=3), replace(CUDA, precision=precision)
    want, result = run(spec, execution)
    found, again = run(spec, replace(execution, graph=True))
    for step, (a, b) in enumerate(zip(want, found, strict=True), start=1):
        assert equal(a, b), step
    assert numbers(result) == numbers(again)


@gpu
def test_a_run_on_a_gpu_resumes_bit_for_bit():
    spec, execution = tiny("RigL", epochs=3), replace(CUDA, graph=True)
    want, result = run(spec, execution)
    _, snapshot = run(spec, execution, stop=13)
    found, again = run(spec, execution, torch.load(saved(snapshot), map_location="cpu", weights_only=True))
    assert len(found) == spec.total_steps - 13 and equal(found[-1], want[-1])
    assert numbers(result) == numbers(again)


@gpu
def test_runs_on_streams_of_their_own_equal_runs_alone():
    specs = [tiny(method, epochs=3) for method in ("RigL", "SET", "Dense")]
    alone = [numbers(run(spec, replace(CUDA, graph=True))[1]) for spec in specs]
    running, together = [train.train(spec, replace(CUDA, graph=True)) for spec in specs], {}
    while len(together) < len(specs):
        for i, steps in enumerate(running):
            try:
                next(steps)
            except StopIteration as done:
                if done.value is not None:
                    together[i] = numbers(done.value)
    assert [together[i] for i in range(len(specs))] == alone


@gpu
def test_an_ordinary_iteration_never_waits_for_the_gpu():
    steps = train.train(tiny("RigL", epochs=3), replace(CUDA, graph=True))
    for _ in range(12):
        next(steps)  # an epoch, and the record of both pieces
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):  # among them an update of the masks
            next(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
