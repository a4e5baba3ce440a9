"""A CUDA graph's stand-in on the CPU, and what lets a training record with it."""

import io
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rigl_nb import train
from rigl_nb.execution import Execution, graph

WAITS = ("_local_scalar_dense", "equal", "nonzero", "masked_select", "lift_fresh", "unique_consecutive")
WAITS += ("_unique", "_unique2", "unique_dim")


class Recorder(TorchDispatchMode):
    """A CUDA graph's stand-in: keeps every operation with the very tensors that it read and wrote."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function.overloadpacket.__name__ in WAITS or by_a_mask(function, args):
            raise AssertionError(f"{function} makes the host wait for the device")
        out = function(*args, **kwargs)
        self.calls.append((function, args, kwargs, out))
        return out

    def replay(self) -> None:
        for function, args, kwargs, out in self.calls:
            read = {tensor.untyped_storage().data_ptr() for tensor in tensors((args, kwargs))}
            for kept, new in zip(tensors(out), tensors(function(*args, **kwargs)), strict=True):
                if kept.untyped_storage().data_ptr() not in read:  # neither a view nor written in place
                    kept.copy_(new)


def by_a_mask(function, args) -> bool:
    """Return whether entries are chosen by yes and no, so that only the device knows how many."""
    indices = args[1] if function.overloadpacket.__name__ in ("index", "index_put", "index_put_") else ()
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


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


def kept(weights) -> dict:
    """Return copies on the CPU: a clone on this stream could be made after the lane's next iteration."""
    return {name: value.detach().to("cpu", copy=True) for name, value in weights.items()}


def run(spec, execution, state=None, stop=None):
    """Return (weights after every iteration, result or, where stopped, snapshot)."""
    seen, steps = [], train.train(spec, execution, state=state)
    while True:
        try:
            progress = next(steps)
        except StopIteration as done:
            return seen, done.value
        seen.append(kept(progress.snapshot()["model"]))
        if progress.step == stop:
            return seen, progress.snapshot()


def saved(snapshot) -> io.BytesIO:
    """Return the file of a snapshot."""
    buffer = io.BytesIO()
    torch.save(snapshot, buffer)
    buffer.seek(0)
    return buffer
