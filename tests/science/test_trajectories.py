"""Whole trainings of a tiny network beside the slow reference: masks, weights and buffers after every iteration.

The reference has weights and buffers of its own. Its gradients are those of its own weights, by a second copy of the
network that knows nothing of masks. In double precision the two agree to eleven digits, so no mask may differ.
"""

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rigl_nb.methods import METHODS
from rigl_nb.sparsifier import Sparsifier

OPTIMIZERS = {  # torch's, and the reference's
    "sgd": (lambda p: torch.optim.SGD(p, lr=0.05, weight_decay=0.01), reference.sgd(0.05, decay=0.01)),
    "momentum": (
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
        reference.sgd(0.05, momentum=0.9, decay=0.01),
    ),
    "nesterov": (
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True),
        reference.sgd(0.05, momentum=0.9, decay=0.01, nesterov=True),
    ),
    "adam": (lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.01), reference.adam(0.01, decay=0.01)),
}
LAYERS = ("0.weight", "2.weight", "5.weight")
PAIRS = [(m, o) for m in METHODS for o in OPTIMIZERS if o != "sgd" or m not in ("SNFS", "RigL-SM")]


def network():
    """Without batch norm: what a channel without connections gives must be 0, not the last bits of a difference."""
    torch.manual_seed(0)
    convolutions = (nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU())
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(24, 5)).double()


def gradients(model, t):
    """Leave the gradients of batch t in the model, as autograd gives them."""
    stream = torch.Generator().manual_seed(t)
    x = torch.randn(16, 2, 6, 6, generator=stream, dtype=torch.float64)
    y = torch.randint(0, 5, (16,), generator=stream)
    model.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()


def arrays(tensors):
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


class Race:
    """The same training twice: by the Sparsifier, and by the reference."""

    def __init__(self, method, optimizer, density=0.6, init="ERK", start=4, **options):
        options = {"alpha": 0.5, "delta_t": 3, "t_end": 10} | options
        factory, descend = OPTIMIZERS[optimizer]
        self.model, self.twin = network(), network()
        self.optimizer = factory(self.model.parameters())
        extra = {"prune_start": start} if method == "Pruning" else {}
        density = 1.0 if method == "Small-Dense" else density  # its budget is in the model
        self.sparse = Sparsifier(self.model, self.optimizer, method, init, density, **options, **extra)
        weights = arrays(dict(self.twin.named_parameters()))
        masks = arrays(self.sparse.masks)
        final = 1 - reference.exact(density)
        self.reference = reference.Training(method, descend, weights, masks, **options, final=final, start=start)

    def step(self):
        """Take one iteration of both; return whether masks were updated."""
        t = self.reference.t
        gradients(self.model, t)
        with torch.no_grad():
            for name, parameter in self.twin.named_parameters():
                parameter.copy_(torch.from_numpy(self.reference.weights[name]))
        gradients(self.twin, t)
        grads = arrays({name: parameter.grad for name, parameter in self.twin.named_parameters()})
        stream = torch.Generator().set_state(self.sparse.generator.get_state())
        updated = self.reference.iterate(grads, lambda name: torch.rand(grads[name].shape, generator=stream).numpy())
        assert self.sparse.step() is updated, f"t = {t}"
        assert torch.equal(stream.get_state(), self.sparse.generator.get_state()), "as many numbers were drawn"
        return updated

    def compare(self):
        """Assert that both are the same: masks exactly, numbers to what double precision leaves of them."""
        t = f"t = {self.reference.t - 1}"
        assert list(self.sparse.masks) == list(self.reference.masks)
        for name, mask in self.reference.masks.items():
            np.testing.assert_array_equal(self.sparse.masks[name].numpy(), mask, err_msg=f"{name} at {t}")
            assert self.sparse.counts()[name] == mask.sum()
        for name, parameter in self.model.named_parameters():
            weight, state = self.reference.weights[name], self.reference.state[name]
            values = {k: v for k, v in self.optimizer.state[parameter].items() if v is not None}
            assert set(values) == set(state), (name, t)
            for key, ours, theirs in [("weight", parameter, weight), *((k, values[k], state[k]) for k in state)]:
                ours = ours.detach().numpy()
                np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12, err_msg=f"{key} of {name} at {t}")
                if key == "weight" or (ours.shape == weight.shape and self.sparse.method.name != "SNFS"):
                    assert not ours[~self.reference.masks.get(name, np.True_)].any(), f"{key} of {name} at {t}"


@pytest.mark.parametrize(("method", "optimizer"), PAIRS)
def test_a_training_follows_the_reference(method, optimizer):
    """Updates at 2, 5 and 8, and no later; Pruning from 4 to 10 prunes at 5, 8 and, for the last time, 11."""
    race = Race(method, optimizer, init=given_masks() if method == "Lottery" else "ERK")
    first = dict(race.reference.masks)
    masked = {"Dense": (), "Small-Dense": (), "Pruning": LAYERS[1:]}.get(method, LAYERS)
    assert tuple(race.sparse.masks) == masked
    race.compare()
    updates = []
    for t in range(16):
        if race.step():
            updates.append(t)
        race.compare()
    assert updates == {"Pruning": [5, 8, 11]}.get(method, [2, 5, 8] if method in reference.GROWTH else [])
    moved = sum(int((mask ^ first[name]).sum()) for name, mask in race.reference.masks.items())
    assert (moved > 20) is bool(updates)


def given_masks():
    """Masks of their own densities, one layer dense and one channel without a connection."""
    stream = np.random.default_rng(5)
    masks = {name: stream.random(p.shape) < 0.5 for name, p in network().named_parameters() if name in LAYERS}
    masks["0.weight"][...], masks["2.weight"][2] = True, False
    return {name: torch.from_numpy(mask) for name, mask in masks.items()}


@pytest.mark.parametrize("method", [*reference.GROWTH, "Static", "Lottery"])
def test_a_training_from_given_masks_follows_the_reference(method):
    race, given = Race(method, "nesterov", init=given_masks()), given_masks()
    assert all(torch.equal(race.sparse.masks[name], mask) for name, mask in given.items())
    for _ in range(10):
        race.step()
        race.compare()
    moved = any(not torch.equal(race.sparse.masks[name], mask) for name, mask in given.items())
    assert moved is (method in reference.GROWTH)


@pytest.mark.parametrize("method", ["SNFS", "RigL-SG", "RigL-SM"])
@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_redistribution_moves_weights_between_layers(method, optimizer):
    """What the trajectories above are to show: a layer that starts dense loses weights, another one gains them."""
    race = Race(method, optimizer)
    first = race.sparse.counts()
    for _ in range(10):
        race.step()
    now = race.sparse.counts()
    assert first["5.weight"] == 120
    assert any(now[name] < first[name] for name in LAYERS) and any(now[name] > first[name] for name in LAYERS)
    assert sum(now.values()) == sum(first.values())


@given(st.sampled_from(PAIRS), st.data())
@settings(max_examples=30)
def test_any_schedule_follows_the_reference(pair, data):
    """Updates at the very first iteration, at every one, at none; a start after updates were due; all may drop."""

    def draw(*values):
        return data.draw(st.sampled_from(values))

    options = {"alpha": draw(0.0, 0.3, 1.0), "delta_t": draw(1, 2, 3), "t_end": draw(0, 1, 4, 6)}
    init = given_masks() if pair[0] == "Lottery" else draw("Random", "ER", "ERK")
    start = data.draw(st.integers(0, options["t_end"]))
    race = Race(*pair, density=draw(0.05, 0.33, 1.0), init=init, start=start, **options)
    for _ in range(8):
        race.step()
        race.compare()
