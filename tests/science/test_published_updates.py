"""Whole trainings by `PublishedCode` beside a slow version of the published code: weights, masks and batches equal.

Both begin with the same weights and masks and see the same batches, in double precision. With all behaviours that the
audit knows of switched on, nothing is left: masks are equal, and numbers to twelve digits.
"""

import numpy as np
import published_updates
import pytest
import reference
import torch
from test_trajectories import network
from torch import nn

from rigl_nb.published_code import BEHAVIOURS, PublishedCode

KNOWN = frozenset(BEHAVIOURS) - {"shared-error", "capped-shares", "signed-kernels"}  # of other versions, methods, masks
METHODS = ("Dense", "Static", "RigL", "SET")


def gradients(model, t):
    """Leave the gradients of batch t in the model. The first channel is empty, as the margins of a digit are."""
    stream = torch.Generator().manual_seed(t)
    x = torch.randn(16, 2, 6, 6, generator=stream, dtype=torch.float64)
    x[:, 0] = 0
    model.zero_grad()
    labels = torch.randint(0, 5, (16,), generator=stream)
    nn.functional.cross_entropy(model(x), labels).backward()
    return {name: parameter.grad.numpy().copy() for name, parameter in model.named_parameters()}


class Lockstep:
    """The same training by both, each on weights of its own."""

    def __init__(self, method, behaviours=KNOWN, density=0.8, delta_t=2, t_end=20, seed=0):
        self.model, self.twin = network(), network()
        how = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, **how)
        options = {"alpha": 0.5, "delta_t": delta_t, "t_end": t_end}
        density = 1.0 if method == "Dense" else density
        self.ours = PublishedCode(
            self.model, self.optimizer, method, "ERK", density, seed=seed, behaviours=behaviours, **options
        )
        weights = {name: p.detach().numpy().copy() for name, p in self.twin.named_parameters()}
        masks = {name: mask.numpy().copy() for name, mask in self.ours.masks.items()}
        descend = reference.sgd(0.05, momentum=0.9, nesterov=True, decay=0.01)
        self.theirs = published_updates.Published(method, descend, weights, masks, coin=self.coin, **options)

    def coin(self, chance, places):
        """Toss the coins that ours will toss."""
        return int(torch.bernoulli(torch.full((places,), chance).clamp(0, 1), generator=self.stream).sum())

    def step(self):
        t = self.theirs.t
        gradients(self.model, t)
        with torch.no_grad():
            for name, parameter in self.twin.named_parameters():
                parameter.copy_(torch.from_numpy(self.theirs.weights[name]))
        grads = gradients(self.twin, t)
        self.stream = torch.Generator().set_state(self.ours.generator.get_state())
        noise = lambda name: torch.rand(grads[name].shape, generator=self.stream, dtype=torch.float32).numpy()  # noqa: E731
        assert self.theirs.iterate(grads, noise) is self.ours.step(), f"t = {t}"

    @property
    def apart(self):
        """The largest difference of any weight or momentum; infinite where masks differ."""
        masks = self.theirs.masks.items()
        if not all(np.array_equal(self.ours.masks[name].numpy(), mask) for name, mask in masks):
            return np.inf
        differences = [0.0]
        for name, parameter in self.model.named_parameters():
            differences.append(np.abs(parameter.detach().numpy() - self.theirs.weights[name]).max())
            for key, theirs in self.theirs.state[name].items():
                differences.append(np.abs(self.optimizer.state[parameter][key].numpy() - theirs).max())
        return max(differences)


@pytest.mark.parametrize("delta_t", [1, 2, 3])
@pytest.mark.parametrize("density", [0.3, 0.8])
@pytest.mark.parametrize("method", METHODS)
def test_with_its_behaviours_ours_computes_what_the_published_code_does(method, density, delta_t):
    race = Lockstep(method, density=density, delta_t=delta_t)
    first = {name: mask.clone() for name, mask in race.ours.masks.items()}
    for t in range(24):
        race.step()
        assert race.apart < 1e-12, f"t = {t}"
    moved = sum(int((mask ^ first[name]).sum()) for name, mask in race.ours.masks.items())
    assert (moved > 20) is (method in ("RigL", "SET"))


@pytest.mark.parametrize("left_out", sorted(KNOWN))
def test_each_behaviour_is_needed(left_out):
    """Without any one of them the two part."""
    races = [
        Lockstep(method, KNOWN - {left_out}, density, delta_t)
        for method in ("RigL", "SET")
        for density in (0.3, 0.8)
        for delta_t in (1, 2)
    ]
    for _ in range(20):
        for race in races:
            race.step()
    assert any(race.apart > 1e-3 for race in races)
