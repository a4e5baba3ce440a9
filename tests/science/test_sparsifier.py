"""What holds after every step, when masks move, and that a saved state goes on where it was taken."""

import copy
import math

import numpy as np
import pytest
import reference
import torch
from torch import nn

from rigl_nb import distributions, models
from rigl_nb.sparsifier import Sparsifier

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
}


class Problem:
    """A tiny network, its optimizer and masks, and the same stream of batches for every copy."""

    def __init__(self, optimizer="nesterov", weights=0, **options):
        torch.manual_seed(weights)
        self.model = nn.Sequential(
            *(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU()),
            *(nn.Conv2d(6, 8, 3), nn.Flatten(), nn.Linear(32, 5)),
        )
        self.initial = copy.deepcopy(self.model.state_dict())
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        defaults = {"density": 0.3, "delta_t": 4, "t_end": 40}
        self.sparse = Sparsifier(self.model, self.optimizer, **(defaults | options))
        self.t = 0

    def backward(self):
        stream = torch.Generator().manual_seed(self.t)
        x, y = torch.randn(16, 2, 6, 6, generator=stream), torch.randint(0, 5, (16,), generator=stream)
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.model(x), y).backward()

    def step(self):
        self.backward()
        self.t += 1
        return self.sparse.step()

    def weights(self):
        return {name: p for name, p in self.model.named_parameters() if name in self.sparse.masks}

    def buffers(self, weight):
        state = self.optimizer.state[weight]
        return {k: v for k, v in state.items() if torch.is_tensor(v) and v.shape == weight.shape}

    def everything(self):
        parts = (self.model, self.sparse, self.optimizer)
        return torch.utils._pytree.tree_leaves(copy.deepcopy([part.state_dict() for part in parts]))


def equal(a, b):
    return len(a) == len(b) and all(
        torch.equal(x, y) if torch.is_tensor(x) else x == y for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("method", ["Static", "SET", "RigL"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_inactive_is_zero_and_counts_stand_after_every_step(optimizer, method):
    problem = Problem(optimizer, method=method)
    counts = problem.sparse.counts()
    for _ in range(14):
        updated = problem.step()
        for name, weight in problem.weights().items():
            mask = problem.sparse.masks[name]
            assert not weight[~mask].any(), name
            assert updated or not weight.grad[~mask].any(), name
            for key, buffer in problem.buffers(weight).items():
                assert not buffer[~mask].any(), (name, key)
        assert problem.sparse.counts() == counts
    assert counts == {name: int(mask.sum()) for name, mask in problem.sparse.masks.items()}


@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_training_reaches_what_the_masks_allow(optimizer):
    """Active weights move, and a connection that was grown is trained afterwards."""
    problem = Problem(optimizer, method="RigL")
    before = {name: mask.clone() for name, mask in problem.sparse.masks.items()}
    moved = {name: weight.detach().clone() for name, weight in problem.weights().items()}
    while not problem.step():
        pass
    grown = {name: mask & ~before[name] for name, mask in problem.sparse.masks.items()}
    assert sum(int(g.sum()) for g in grown.values()) > 0
    assert not any(weight[grown[name]].any() for name, weight in problem.weights().items())
    problem.step()
    for name, weight in problem.weights().items():
        assert (weight[grown[name]] != 0).all()
        assert not torch.equal(weight, moved[name])


DUE = {0: [], 3: [], 4: [3], 10: [3, 7], 11: [3, 7], 12: [3, 7, 11]}


@pytest.mark.parametrize(("t_end", "due"), DUE.items())
@pytest.mark.parametrize("method", ["SET", "RigL"])
def test_when_masks_are_updated(method, t_end, due):
    """At t = dT - 1, 2 dT - 1, ... < T_end, counting from 0."""
    problem = Problem(method=method, t_end=t_end, delta_t=4)
    assert [t for t in range(16) if problem.step()] == due


@pytest.mark.parametrize("method", ["Dense", "Static"])
def test_fixed_masks_never_move(method):
    problem = Problem(method=method, delta_t=1)
    before = {name: mask.clone() for name, mask in problem.sparse.masks.items()}
    assert not any(problem.step() for _ in range(8))
    assert set(before) == set(problem.sparse.masks)
    assert all(torch.equal(before[name], mask) for name, mask in problem.sparse.masks.items())


@pytest.mark.parametrize("method", ["SET", "RigL"])
@pytest.mark.parametrize("optimizer", ["momentum", "nesterov", "adam"])
def test_an_update_replaces_the_optimizers_step(optimizer, method):
    """Nothing but connections changes: no bias, no norm, no survivor, no buffer of one, no step count."""
    problem = Problem(optimizer, method=method, density=0.5, init="ERK")
    for _ in range(3):
        problem.step()
    before = copy.deepcopy(problem.model.state_dict())
    masks = {name: mask.clone() for name, mask in problem.sparse.masks.items()}
    state = copy.deepcopy(problem.optimizer.state_dict()["state"])
    assert problem.step()
    for index, (name, parameter) in enumerate(problem.model.named_parameters()):
        after = problem.optimizer.state_dict()["state"][index]
        everywhere = torch.ones_like(parameter, dtype=torch.bool)
        same = masks.get(name, everywhere) & problem.sparse.masks.get(name, everywhere)
        assert torch.equal(parameter[same], before[name][same]), name
        assert set(after) == set(state[index])
        for key, value in after.items():
            old = state[index][key]
            if torch.is_tensor(value) and value.shape == parameter.shape:
                value, old = value[same], old[same]
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(old)), (name, key)


@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_rigl_is_the_textbook_update(optimizer):
    """Masks, weights and every buffer against the slow reference, at three updates of one training."""
    problem = Problem(optimizer, method="RigL", density=0.4, alpha=0.5, t_end=20)
    for _ in range(12):
        problem.backward()
        weights, masks, t = problem.weights(), copy.deepcopy(problem.sparse.masks), problem.t
        before = {name: [v.detach().numpy().copy() for v in (w, w.grad)] for name, w in weights.items()}
        buffers = {name: copy.deepcopy(problem.buffers(weight)) for name, weight in weights.items()}
        if not problem.step():
            continue
        fraction = 0.5 / 2 * (1 + math.cos(math.pi * t / 20))
        for name, weight in problem.weights().items():
            for key, buffer in problem.buffers(weight).items():
                old = (masks[name].numpy(), fraction, buffers[name][key].numpy())
                want = reference.rigl_update(*before[name], *old)
                got = (problem.sparse.masks[name].numpy(), weight.detach().numpy(), buffer.numpy())
                for ours, theirs in zip(got, want, strict=True):
                    np.testing.assert_array_equal(ours, theirs, err_msg=f"{name} {key} at {t}")


def test_set_drops_by_magnitude_and_grows_anywhere():
    """SET keeps what RigL keeps; it grows at random over all candidates, the just-dropped included."""
    landed, seeds = {}, 60
    for seed in range(seeds):
        problem = Problem("sgd", method="SET", density=0.4, delta_t=1, alpha=0.6, t_end=10**9)
        problem.sparse.generator.manual_seed(seed)
        masks = {name: mask.clone() for name, mask in problem.sparse.masks.items()}
        weights = {name: w.detach().numpy().copy() for name, w in problem.weights().items()}
        assert problem.step()
        for name, mask in masks.items():
            count = math.floor(0.6 * int(mask.sum()))
            kept = torch.from_numpy(reference.drop(weights[name], mask.numpy(), count))
            grown = problem.sparse.masks[name] & ~kept
            assert (problem.sparse.masks[name] | ~kept).all()  # nothing kept is lost
            assert int(grown.sum()) == count
            landed.setdefault(name, []).append(grown[~kept].double())
    for draws in landed.values():
        hits, share = torch.stack(draws).sum(0), draws[0].mean()
        sigma = math.sqrt(seeds * share * (1 - share)) if 0 < share < 1 else 0.0
        assert ((hits - seeds * share).abs() <= 5 * sigma).all()


def test_the_seed_decides_masks_and_growth():
    def masks(seed, steps):
        problem = Problem(method="SET", seed=seed)
        for _ in range(steps):
            problem.step()
        return torch.cat([mask.flatten() for mask in problem.sparse.masks.values()])

    for steps in (0, 4):
        assert torch.equal(masks(1, steps), masks(1, steps))
        assert not torch.equal(masks(1, steps), masks(2, steps))


@pytest.mark.parametrize("init", ["Random", "ER", "ERK"])
def test_initial_counts_and_weights(init):
    """Exact counts; survivors keep the dense initialisation; under Random the first layer stays dense."""
    problem = Problem(init=init)
    masked = models.maskable(problem.model, first_layer=init != "Random")
    shapes = {name: tuple(weight.shape) for name, weight in masked.items()}
    want = distributions.counts(shapes, distributions.DISTRIBUTIONS[init](shapes, 0.3))
    assert problem.sparse.counts() == want
    total = sum(p.numel() for p in masked.values())
    assert sum(want.values()) == math.floor(0.3 * total + 0.5)
    assert ("0.weight" in problem.sparse.masks) is (init != "Random")
    for name, value in problem.model.state_dict().items():
        mask = problem.sparse.masks.get(name)
        expected = problem.initial[name] if mask is None else problem.initial[name] * mask
        assert torch.equal(value, expected), name


def test_a_distribution_of_ones_own():
    ramp = Problem(init=lambda shapes, density: {name: density * (1 + i) / 3 for i, name in enumerate(shapes)})
    assert ramp.sparse.counts() == {"0.weight": 11, "3.weight": 86, "5.weight": 48}  # 108/10, 432/5, 160 * 0.3


def test_dense_is_the_optimizer_alone():
    problem, plain = (Problem(method="Dense", init=None, density=1.0) for _ in range(2))
    assert problem.sparse.masks == {}
    for _ in range(6):
        problem.step()
        plain.backward()
        plain.optimizer.step()
        plain.t += 1
    assert equal(list(problem.model.state_dict().values()), list(plain.model.state_dict().values()))


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_an_overflow_at_an_inactive_place_stays_out(optimizer, bad):
    """The dense gradient of an inactive weight may overflow: 0 * inf is not 0, yet the masked one is."""
    problem = Problem(optimizer, method="RigL")
    problem.backward()
    for name, weight in problem.weights().items():
        weight.grad[~problem.sparse.masks[name]] = bad
    problem.sparse.step()
    for name, weight in problem.weights().items():
        assert torch.isfinite(weight).all(), name
        assert not weight[~problem.sparse.masks[name]].any(), name
        assert not weight.grad[~problem.sparse.masks[name]].any(), name
