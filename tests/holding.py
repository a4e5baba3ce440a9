"""A small training under masks, and what must hold in it: shared by the tests of the Sparsifier."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rigl_nb.sparsifier import Sparsifier


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 10))


def momentum(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)


def backward(model, t=0):
    stream = torch.Generator().manual_seed(t)
    x, y = torch.randn(16, 12, generator=stream), torch.randint(0, 10, (16,), generator=stream)
    model.zero_grad()
    cross_entropy(model(x), y).backward()


def dense_steps(model, optimizer, steps=30):
    for t in range(steps):
        backward(model, t)
        optimizer.step()


def sparsified(model, optimizer=None, method="Static", **options):
    return Sparsifier(
        model, optimizer or momentum(model), method, **({"density": 0.2, "delta_t": 3, "t_end": 30} | options)
    )


def kept_of(sparsifier, name):
    """The optimizer's buffers of a weight's shape."""
    weight = sparsifier.weights[name]
    state = sparsifier.optimizer.state.get(weight, {})
    return {key: v for key, v in state.items() if torch.is_tensor(v) and v.shape == weight.shape}


def assert_holds(sparsifier, start=0.0):
    """Inactive weights are 0, their buffers at the start; counts are the masks'."""
    for name, weight in sparsifier.weights.items():
        off = ~sparsifier.masks[name]
        assert not weight[off].any(), name
        assert sparsifier.counts()[name] == int(sparsifier.masks[name].sum())
        for key, buffer in {} if sparsifier.method.dense_momentum else kept_of(sparsifier, name).items():
            value = start.get(key, 0.0) if isinstance(start, dict) else start
            assert (buffer[off] == value).all(), (name, key)


MASKED = ["Static", "SET", "RigL", "RigL-SM", "SNFS", "Pruning"]


def take_gradients(model, stream, bad):
    """Give every parameter a gradient of few values; one of them may be infinite or no number."""
    for p in model.parameters():
        p.grad = torch.randint(-2, 3, p.shape, generator=stream).float()
        if bad is not None:
            p.grad.view(-1)[torch.randint(p.numel(), (), generator=stream)] = bad


def bits(tensor):
    return tensor.detach().numpy().tobytes()


def values_of(sparse, weight):
    """Copies of a parameter and of the optimizer's buffers of its shape."""
    state = sparse.optimizer.state[weight].items()
    buffers = {k: v.clone() for k, v in state if torch.is_tensor(v) and v.shape == weight.shape}
    return {"weight": weight.detach().clone()} | buffers
