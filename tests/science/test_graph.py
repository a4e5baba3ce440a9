"""What is recorded for a GPU: on the CPU by a recorder of operations, on a GPU against the eager iterations."""

from dataclasses import replace

import pytest
import torch
from driving import equal, numbers, tiny
from records import PLAIN
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rigl_nb import train
from rigl_nb.execution import Execution, graph

aten = torch.ops.aten


class Recorder(TorchDispatchMode):
    """A CUDA graph's stand-in: keeps every operation with the very tensors that it read and wrote."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (aten._local_scalar_dense.default, aten.equal.default, aten.nonzero.default):
            raise AssertionError(f"{function} makes the host wait for the device")
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        self.calls.append((function, args, kwargs, out))
        return out

    def replay(self) -> None:
        for function, args, kwargs, out in self.calls:
            read = {tensor.untyped_storage().data_ptr() for tensor in tensors((args, kwargs))}
            for kept, new in zip(tensors(out), tensors(function(*args, **kwargs)), strict=True):
                if kept.untyped_storage().data_ptr() not in read:  # neither a view nor written in place
                    kept.copy_(new)


def tensors(tree) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def record(function, generators):
    """Capture as `graph.record` does; the capture itself has the effect that a first replay would have."""
    with Recorder() as recorder:
        function()
    turns = iter([lambda: None])

    @torch.no_grad()
    def replay():
        next(turns, recorder.replay)()

    replay.calls = recorder.calls
    return replay


@pytest.fixture
def recorded(monkeypatch) -> list:
    """Let the CPU record; the optimizer is of the kind that a GPU gets. Return the replays that were made."""
    made = []

    def keep(function, generators):
        made.append(record(function, generators))
        return made[-1]

    plain = torch.optim.SGD
    monkeypatch.setattr(graph, "record", keep)
    monkeypatch.setattr(torch.optim, "SGD", lambda *args, **options: plain(*args, **(options | {"fused": True})))
    return made


def graphed(execution: Execution) -> Execution:
    """Return the execution with graphs, which it refuses on a CPU."""
    copy = replace(execution)
    object.__setattr__(copy, "graph", True)
    return copy


def run(spec, execution, state=None, stop=None):
    """Return (weights after every iteration, result or, where stopped, snapshot)."""
    seen, steps = [], train.train(spec, execution, state=state)
    while True:
        try:
            progress = next(steps)
        except StopIteration as done:
            return seen, done.value
        seen.append({name: value.clone() for name, value in progress.snapshot()["model"].items()})
        if progress.step == stop:
            return seen, progress.snapshot()


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


def saved(snapshot):
    import io

    buffer = io.BytesIO()
    torch.save(snapshot, buffer)
    buffer.seek(0)
    return buffer


def test_the_recorder_would_notice_a_constant(recorded):
    """A learning rate that the host holds is frozen into the record: the stand-in must show that."""
    weight, rate = torch.ones(3), [1.0]
    replay = graph.Replay(lambda: weight.mul_(rate[0]), (), enabled=True)
    for _ in range(graph.WARM_UP + 1):
        replay()
    rate[0] = 2.0
    replay()
    assert weight.tolist() == [1, 1, 1]


def test_the_recorder_would_notice_a_question(recorded):
    weight = torch.ones(3)
    replay = graph.Replay(lambda: weight.mul_(float(weight.sum())), (), enabled=True)
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
