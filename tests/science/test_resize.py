"""Training at the size of live channels, in a loop of one's own: the masked training, and what it says of misuse."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_compact import NETWORKS, SGD, descend, images, network_of
from test_sparsifier import OPTIMIZERS
from torch import nn

from rigl_nb import models
from rigl_nb.compact import compact, expand, resize
from rigl_nb.masking.channels import Channel
from rigl_nb.sparsifier import Sparsifier

DESCENT = partial(torch.optim.SGD, **SGD)


class Training:
    """A network, its optimizer and its Sparsifier; `small` trains live channels alone between updates."""

    def __init__(self, net, small, optimizer=DESCENT, method="RigL", density=0.2, **rest):
        self.net, self.small, self.optimizer = net, small, optimizer(net.parameters())
        options = {"delta_t": 4, "t_end": 15, "alpha": 0.8, "structure": "channel"} | rest
        self.sparse = Sparsifier(net, self.optimizer, method, "Random", density, **options)
        self.losses, self.sizes = [], []

    def step(self, x, y):
        """One iteration; how many weights took part."""
        if self.small:
            resize(self.net, self.sparse)
        self.sizes.append(sum(p.numel() for p in self.net.parameters()))
        self.losses.append(descend(self.net, self.optimizer, x, y))
        return self.sparse.step()

    def state(self):
        """Everything that has a value, of the whole model, by name."""
        expand(self.sparse)
        found = {f"model {name}": value for name, value in self.net.state_dict().items()}
        for name, p in self.net.named_parameters():
            kept = self.optimizer.state[p].items()
            found |= {f"{key} of {name}": torch.as_tensor(value) for key, value in kept if value is not None}
        return copy.deepcopy(found | {f"mask {name}": mask for name, mask in self.sparse.masks.items()})


def both(make, steps=20, stream=3):
    """Train masked and compact on the same batches."""
    pair = [make(False), make(True)]
    for one in pair:
        draw = torch.Generator().manual_seed(stream)
        for _ in range(steps):
            one.step(*images(draw))
    return pair


def assert_same(masked, small, tolerance=1e-12):
    """Compare in float64: `tolerance` is absolute for small values, relative for those beyond one."""
    close = partial(torch.testing.assert_close, rtol=tolerance, atol=tolerance)  # it names the key that differs
    close(small.state(), masked.state())
    close(small.losses, masked.losses)
    mine, theirs = small.sparse, masked.sparse
    assert mine.counts() == theirs.counts() and mine.densities() == theirs.densities() and mine.carry == theirs.carry
    assert mine.drop_fraction == theirs.drop_fraction and mine.iteration == theirs.iteration


@pytest.mark.parametrize("method", ["RigL", "SET", "Static"])
@pytest.mark.parametrize("kind", ["SGD", "Adam", "Adamax"])
@pytest.mark.parametrize(("name", "density"), [("wrn-10-1", 0.2), ("resnet14-8", 0.5)])
def test_a_training_is_the_masked_one(name, density, kind, method):
    """Updates at 3, 7, 11; weights, momentum and statistics of live and of dead channels, masks and losses."""
    optimizer = partial(getattr(torch.optim, kind), **(SGD if kind == "SGD" else {"lr": 3e-3, "weight_decay": 1e-2}))
    masked, small = both(lambda small: Training(network_of(name), small, optimizer, method, density))
    assert_same(masked, small)
    whole = sum(p.numel() for p in masked.net.parameters())
    due = {3, 7, 11} if method != "Static" else set()
    assert [n for n, size in enumerate(small.sizes) if size == whole] == sorted(due)
    first = Training(network_of(name), False, method=method, density=density).sparse.masks
    assert all(torch.equal(mask, small.sparse.masks[n]) for n, mask in first.items()) is (method == "Static")


@pytest.mark.parametrize(("name", "density"), NETWORKS)
def test_all_networks_and_densities(name, density):
    assert_same(*both(lambda small: Training(network_of(name), small, density=density)))


def chain():
    """Whole numbers without a norm: a convolution, a depthwise one, two linear layers; and their groups."""
    layers = (nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 4, 5))
    net, draw = nn.Sequential(*layers, nn.ReLU(), nn.Linear(5, 3)).double(), np.random.default_rng(0)
    for p in net.parameters():
        p.data = torch.from_numpy(draw.integers(-1, 2, p.shape).astype(float))
    return net, Channel(groups=[("0", "1", "4"), ("4", "6")])


@pytest.mark.parametrize("density", [0.15, 0.4])
def test_bit_for_bit_where_sums_are_exact(density):
    """Rate, momentum and decay are powers of two, gradients whole numbers of them: no sum is rounded."""

    def make(small):
        net, structure = chain()
        how = {"lr": 0.5, "momentum": 0.5, "nesterov": True, "weight_decay": 0.5}
        return Training(net, small, partial(torch.optim.SGD, **how), density=density, structure=structure, delta_t=2)

    masked, small = make(False), make(True)
    for one in (masked, small):
        draw = torch.Generator().manual_seed(1)
        for t in range(4):
            if one.small:
                resize(one.net, one.sparse)
                assert (one.net[1].groups == one.net[0].out_channels == len(one.net[0].weight) < 6) is (t % 2 == 0)
            x, y = (torch.randint(-1, 2, (4, *shape), generator=draw).double() for shape in ((3, 6, 6), (3,)))
            one.optimizer.zero_grad()
            (one.net(x) * y).sum().backward()
            one.sparse.step()
    before = chain()[0].state_dict()
    assert all(not torch.equal(value, before[name]) for name, value in small.net.state_dict().items())
    assert_same(masked, small, tolerance=0)
    assert small.net[1].groups == 6 and small.net[1](small.net[0](x)).shape == (4, 6, 2, 2)


@st.composite
def cases(draw):
    """Draw a training, and at which iterations somebody looks at the whole model."""
    options = {
        "method": draw(st.sampled_from(["RigL", "SET", "Static"])),
        "density": draw(st.sampled_from([0.15, 0.3, 0.6, 1.0])),
        "delta_t": draw(st.integers(1, 5)),
        "t_end": draw(st.integers(6, 14)),
        "alpha": draw(st.sampled_from([0.3, 0.7, 1.0])),
        "seed": draw(st.integers(0, 9)),
    }
    looks = draw(st.sets(st.integers(0, 11)))
    return OPTIMIZERS[draw(st.sampled_from(list(OPTIMIZERS)))], draw(st.integers(1, 6)), options, looks


@given(cases())
@settings(max_examples=25, deadline=None)
def test_whatever_the_training_and_whenever_it_is_looked_at(case):
    """A convolution, a norm, a second writer that reads too, a norm of other momentum, a flattening."""
    optimizer, width, options, looks = case

    def make(small):
        torch.manual_seed(0)
        first = (nn.Conv2d(3, width, 3, bias=False), nn.BatchNorm2d(width), nn.Tanh())
        second = (nn.Conv2d(width, 3, 3, bias=False), nn.BatchNorm2d(3, momentum=None), nn.Tanh())
        net = nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(3 * 16, 5))
        structure = Channel(groups=[("0", "1", "3"), ("3", "4", "7")])
        return Training(net.double(), small, optimizer, structure=structure, **options)

    masked, small = make(False), make(True)
    for one in (masked, small):
        draw = torch.Generator().manual_seed(5)
        for t in range(12):
            one.step(*images(draw))
            if one.small and t in looks:
                expand(one.sparse)
    assert_same(masked, small, tolerance=1e-10)


def test_attached_and_with_a_gradient_of_two_halves():
    """`optimizer.step()` does what `step()` does; `resize` before each part of a batch changes nothing."""

    def make(small):
        one = Training(network_of("wrn-10-1"), small)
        one.sparse.attach()
        return one

    masked, small = make(False), make(True)
    for one in (masked, small):
        draw = torch.Generator().manual_seed(3)
        for _ in range(10):
            one.optimizer.zero_grad()
            for _ in range(2):
                if one.small:
                    resize(one.net, one.sparse)
                x, y = images(draw)
                nn.functional.cross_entropy(one.net.train()(x), y).backward()
            one.optimizer.step()
    assert_same(masked, small)


def test_whole_between_backward_and_step():
    """A gradient goes along; that of dead channels, which an update wants, is not invented."""
    masked, small = both(lambda small: Training(network_of("wrn-10-1"), small), steps=1)
    batch = images(torch.Generator())
    resize(small.net, small.sparse)
    for one in (masked, small):
        descend(one.net, one.optimizer, *batch)
        expand(one.sparse)
        one.sparse.step()
    assert_same(masked, small)
    resize(small.net, small.sparse)
    descend(small.net, small.optimizer, *batch)
    small.sparse.iteration += 1  # an update is due, and nobody has asked for the whole model before
    expand(small.sparse)
    with pytest.raises(ValueError, match="there is no gradient"):
        small.sparse.step()


def test_it_stays_the_same_model_and_optimizer():
    one = Training(network_of("wrn-10-1"), True)
    objects = list(map(id, one.net.parameters()))
    one.step(*images(torch.Generator()))
    assert objects == list(map(id, one.net.parameters())) == list(map(id, one.optimizer.param_groups[0]["params"]))
    state = one.net.state_dict()
    again = compact(one.net, one.sparse).state_dict()
    assert state.keys() == again.keys() and all(torch.equal(value, again[name]) for name, value in state.items())
    weights = models.maskable(one.net)
    assert {name: weights[name].numel() for name in one.sparse.counts()} == one.sparse.counts()
    expand(one.sparse)
    asked = one.optimizer.state_dict()["state"]
    resize(one.net, one.sparse)
    whole = [p.shape for p in network_of("wrn-10-1").parameters()]
    assert [state["momentum_buffer"].shape for state in asked.values()] == whole, "what was asked for stays"
    kept = [value for state in one.optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
    assert all(value.shape == p.shape for p, value in zip(one.net.parameters(), kept, strict=True))


def test_weights_that_were_loaded_before_are_masked_first():
    masked, small = (Training(network_of("wrn-10-1"), small) for small in (False, True))
    for one in (masked, small):
        one.net.load_state_dict({name: value + 0.01 for name, value in one.net.state_dict().items()})
        one.small or one.sparse.apply()
        one.step(*images(torch.Generator().manual_seed(1)))
    assert_same(masked, small)


def test_misuse_is_told():
    one = Training(network_of("wrn-10-1"), False, delta_t=2)
    resize(one.net, one.sparse)
    one.step(*images(torch.Generator()))
    with pytest.raises(ValueError, match=r"compact, and an update of the masks needs it whole: call compact\.resize"):
        one.step(*images(torch.Generator()))
    with pytest.raises(ValueError, match="compact, and a state needs it whole"):
        one.sparse.load_state_dict(one.sparse.state_dict())
    plain = Training(network_of("wrn-10-1"), True, structure="weight")
    with pytest.raises(ValueError, match=r"structure weight has no compact model: .* structure='channel'"):
        plain.step(*images(torch.Generator()))
    one = Training(network_of("wrn-10-1"), True, torch.optim.Adafactor)
    before = one.state()  # which stays
    with pytest.raises(ValueError, match="optimizer Adafactor is not allowed with a compact model: it does not move"):
        one.step(*images(torch.Generator()))
    assert all(torch.equal(value, before[name]) for name, value in one.state().items())
