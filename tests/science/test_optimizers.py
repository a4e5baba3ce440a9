"""What masks need of an optimizer: a start for grown entries, a momentum to rank by, and to be its only ones."""

import copy
import math

import pytest
import torch
from holding import assert_holds, backward, dense_steps, kept_of, momentum, network, sparsified
from torch import nn

from rigl_nb.masking.optimizers import by_entry


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        (lambda p: torch.optim.Rprop(p, lr=0.03), {"step_size": 0.03}),
        (lambda p: torch.optim.Adagrad(p, lr=0.1, initial_accumulator_value=0.5), {"sum": 0.5}),
        (lambda p: torch.optim.Adamax(p, lr=0.1), {"exp_inf": 1e-8}),
        (lambda p: torch.optim.Muon(p, lr=0.1), {}),
    ],
    ids=["Rprop", "Adagrad", "Adamax", "Muon"],
)
def test_a_grown_connection_starts_as_the_optimizer_would_start_it(kind, start):
    """Rprop moves by a step size that it adapts: from 0 it would never move again."""
    model = network()
    optimizer = kind([p for p in model.parameters() if p.ndim > 1])
    dense_steps(model, optimizer, 5)
    sparsifier = sparsified(model, optimizer, "RigL", alpha=0.9, delta_t=4)
    start = {key: torch.tensor(value).item() for key, value in start.items()}
    assert_holds(sparsifier, start)
    for t in range(12):
        before = {name: mask.clone() for name, mask in sparsifier.masks.items()}
        backward(model, t)
        if not sparsifier.step():
            assert_holds(sparsifier, start)
            continue
        grown = {name: mask & ~before[name] for name, mask in sparsifier.masks.items()}
        assert any(mask.any() for mask in grown.values())
        for name, new in grown.items():
            assert all((v[new] == start.get(key, 0)).all() for key, v in kept_of(sparsifier, name).items())
        backward(model, t + 50)
        sparsifier.step()
        moved = torch.cat([sparsifier.weights[name][new] for name, new in grown.items()])
        assert moved.count_nonzero() > 0.5 * len(moved)  # not all: a hidden unit may be off


class Stateful(torch.optim.SGD):
    """An optimizer with more than its class declares: a copy of it cannot take a step."""

    def __init__(self, parameters):
        super().__init__(parameters, lr=0.1, momentum=0.9)
        self.own = 1.0

    def step(self, closure=None):
        assert self.own
        return super().step(closure)


def test_an_optimizer_that_cannot_be_tried_has_buffers_that_start_at_zero():
    model = network()
    optimizer = Stateful(model.parameters())
    dense_steps(model, optimizer, 5)
    sparsifier = sparsified(model, optimizer, "SNFS")
    assert sparsifier.starts["0.weight"] is None
    sparsifier = sparsified(model, optimizer, "RigL")
    for t in range(7):
        backward(model, t)
        sparsifier.step()
        assert_holds(sparsifier)


class Lion(torch.optim.Optimizer):
    """Momentum, and nothing that says how large it is."""

    def __init__(self, parameters, lr=0.01):
        super().__init__(parameters, {"lr": lr, "betas": (0.9, 0.99)})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                average = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.sub_(group["lr"] * average.lerp(p.grad, 0.1).sign())
                average.lerp_(p.grad, 0.01)


@pytest.mark.parametrize(
    "kind", [torch.optim.Adamax, Lion, torch.optim.Adagrad, torch.optim.Adafactor, torch.optim.SGD]
)
@pytest.mark.parametrize("method", ["SNFS", "RigL-SM"])
def test_an_optimizer_without_a_momentum_to_rank_by_is_refused_at_once(method, kind):
    model = network()
    whole = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=f"{method} ranks by momentum: {kind.__name__} has none"):
        sparsified(model, kind(model.parameters(), lr=0.1), method)
    assert all(torch.equal(value, whole[name]) for name, value in model.state_dict().items())
    sparsified(model, kind(model.parameters(), lr=0.1), "RigL")


@pytest.mark.parametrize("method", ["SNFS", "RigL-SM"])
@pytest.mark.parametrize("kind", ["Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Muon"])
def test_optimizers_that_have_one_train(kind, method):
    model = network()
    options = {"momentum": 0.9} if kind == "RMSprop" else {}
    optimizer = getattr(torch.optim, kind)([p for p in model.parameters() if p.ndim > 1], lr=0.01, **options)
    sparsifier = sparsified(model, optimizer, method)
    for t in range(7):
        backward(model, t)
        sparsifier.step()
        assert_holds(sparsifier)


def test_optimizers_that_masks_cannot_go_with_are_refused(tmp_path):
    model = network()
    with pytest.raises(ValueError, match=r"optimizer LBFGS is not allowed: .*Take SGD"):
        sparsified(model, torch.optim.LBFGS(model.parameters()))
    with pytest.raises(ValueError, match=r"list is no optimizer"):
        sparsified(model, list(model.parameters()))
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        from torch.distributed.optim import ZeroRedundancyOptimizer

        spread = ZeroRedundancyOptimizer(model.parameters(), torch.optim.SGD, lr=0.1)
        with pytest.raises(ValueError, match=r"ZeroRedundancyOptimizer is not allowed: it keeps .* another process"):
            sparsified(model, spread)
    finally:
        torch.distributed.destroy_process_group()


def test_the_newest_sparsifier_has_the_optimizer():
    model = network()
    optimizer = momentum(model)
    first = sparsified(model, optimizer, exclude=["4"])
    second = sparsified(model, optimizer, method="SET", init={"4.weight": torch.rand(10, 16) < 0.5})
    backward(model)
    frozen = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="another Sparsifier was made for this optimizer since"):
        first.step()
    assert all(torch.equal(value, frozen[name]) for name, value in model.state_dict().items())
    second.attach()
    with pytest.raises(ValueError, match=r"attached to this optimizer: detach\(\) it first"):
        sparsified(model, optimizer)
    with pytest.raises(ValueError, match=r"detach\(\) it first"):
        first.attach()
    second.detach()
    first.attach()
    optimizer.step()
    assert first.iteration == 1 and math.isclose(first.density, 0.2)


EVERY = ("SGD", "Adam", "AdamW", "NAdam", "RAdam", "Rprop", "ASGD", "Adagrad", "Adadelta", "Adamax", "RMSprop")


@pytest.mark.parametrize("name", [*EVERY, "Adafactor", "Muon"])
@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_which_optimizers_move_each_entry_by_itself(name, rate):
    """Also at a moment when the rate is 0, and nothing moves."""
    weight = nn.Parameter(torch.randn(3, 4))
    optimizer = getattr(torch.optim, name)([weight], lr=rate)
    before = weight.detach().clone(), str(optimizer.state_dict())
    assert by_entry(optimizer, optimizer.param_groups[0], weight) is (name in EVERY)
    assert torch.equal(weight, before[0]) and str(optimizer.state_dict()) == before[1]
