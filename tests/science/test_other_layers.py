"""Layers that the report's networks lack: grouped and depthwise, 1-d and 3-d, shared, frozen, left out by name."""

import math

import pytest
import reference
import torch
from test_other_models import MOVING, assert_inactive_is_zero, batches, counted, sparsified, train
from torch import nn
from torch.nn.functional import cross_entropy

from rigl_nb import flops

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@pytest.mark.parametrize("dimension", CONVOLUTIONS)
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_convolutions_of_any_kind(dimension, groups):
    """Counts, every update and the cost, against the definitions: a grouped convolution has c_in/groups inputs."""
    torch.manual_seed(0)
    kind, box, image = CONVOLUTIONS[dimension], (3,) * dimension, (8, *(5,) * dimension)
    convolutions = kind(8, 16, 3, groups=groups), nn.ReLU(), kind(16, 16, 3, groups=16)
    model = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(16, 10))
    sparsifier = sparsified(model, density=0.3, t_end=8)
    shapes = {"0.weight": (16, 8 // groups, *box), "2.weight": (16, 1, *box), "4.weight": (10, 16)}
    densities = reference.erdos_renyi(shapes, reference.exact(0.3), kernel=True)
    assert sparsifier.counts() == reference.largest_remainder(shapes, densities)
    places = {"0.weight": 3**dimension, "2.weight": 1, "4.weight": 1}  # of the kernel; the sides are 5, 3, 1
    dense = {name: 2 * math.prod(shape) * places[name] for name, shape in shapes.items()}
    assert flops.layer_flops(model, image) == dense
    assert sum(dense.values()) == counted(model, *image)
    sparse = sum(2 * count * places[name] for name, count in sparsifier.counts().items())
    assert flops.inference_flops(model, image, sparsifier.densities()) == pytest.approx(sparse, rel=1e-12)
    for t, (x, y) in enumerate(batches(image, 6)):
        sparsifier.optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        old = {
            name: (
                *(v.detach().numpy().copy() for v in (weight, weight.grad, sparsifier.masks[name])),
                0.15 * (1 + math.cos(math.pi * t / 8)),
                sparsifier.optimizer.state[weight].get("momentum_buffer", torch.zeros(())).numpy().copy(),
            )
            for name, weight in sparsifier.weights.items()
        }
        assert sparsifier.step() is (t % 2 == 1)
        assert_inactive_is_zero(sparsifier)
        for name, weight in sparsifier.weights.items() if t % 2 else ():
            now = sparsifier.masks[name], weight.detach(), sparsifier.optimizer.state[weight]["momentum_buffer"]
            for ours, theirs in zip(now, reference.rigl_update(*old[name]), strict=True):
                assert torch.equal(ours, torch.from_numpy(theirs)), (name, t)


class Tied(nn.Module):
    """A word model: what reads a word also writes it, and one layer is used twice."""

    def __init__(self):
        super().__init__()
        self.body, self.read, self.write = nn.Linear(8, 8), nn.Embedding(10, 8), nn.Linear(8, 10)
        self.write.weight = self.read.weight

    def forward(self, words):
        return self.write(self.body(self.body(self.read(words)).relu()))


@pytest.mark.parametrize("method", [*MOVING, "Static"])
def test_shared_weights_have_one_mask(method):
    torch.manual_seed(0)
    model, words = Tied(), torch.arange(10)
    sparsifier = sparsified(model, method)
    sizes = {"body.weight": 64, "read.weight": 80}
    if method == "Pruning":
        del sizes["body.weight"]  # the first layer stays dense
    assert list(sparsifier.masks) == list(sizes)
    for _ in range(6):
        sparsifier.optimizer.zero_grad()
        cross_entropy(model(words), words.flip(0)).backward()
        sparsifier.step()
        assert_inactive_is_zero(sparsifier)
        off = ~sparsifier.masks["read.weight"]
        assert model.write.weight is model.read.weight
        assert not model.write.weight[off].any() and not model.read(words)[off].any()
    assert sum(sparsifier.counts().values()) == math.floor(0.2 * sum(sizes.values()) + 0.5)


def test_a_shared_layer_costs_at_every_place():
    shared = nn.Linear(8, 8)
    model = nn.Sequential(shared, nn.ReLU(), shared, nn.Linear(8, 3))
    assert flops.layer_flops(model, (8,)) == {"0.weight": 2 * 2 * 64, "3.weight": 2 * 24}
    assert flops.inference_flops(model, (8,)) == counted(model, 8)
    assert flops.inference_flops(model, (8,), {"0.weight": 0.5}) == 128 + 48


@pytest.mark.parametrize("method", MOVING)
def test_frozen_parameters_are_left_alone(method):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 10))
    for parameter in (*model[0].parameters(), model[2].weight):
        parameter.requires_grad_(False)
    frozen = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    assert list(frozen) == ["0.weight", "0.bias", "2.weight"]
    sparsifier = sparsified(model, method)
    assert sum(train(model, sparsifier, (6,))) >= 2
    assert sparsifier.counts() == {"4.weight": 24}
    assert all(torch.equal(value, model.get_parameter(name)) for name, value in frozen.items())


EVERY = [*(f"{i}.weight" for i in range(11)), "11.inner.weight", "11.outer.weight"]


@pytest.mark.parametrize(
    ("exclude", "out"),
    [
        (["1"], {"1.weight"}),  # and neither 10 nor 11
        (["1.weight", "10"], {"1.weight", "10.weight"}),
        (["11.inner.weight", "0"], {"11.inner.weight", "0.weight"}),
        (["11"], {"11.inner.weight", "11.outer.weight"}),
    ],
)
@pytest.mark.parametrize("init", ["ERK", "Random"])
def test_layers_and_modules_are_excluded_by_name(exclude, out, init):
    torch.manual_seed(0)
    block = nn.ModuleDict({"inner": nn.Linear(10, 10), "outer": nn.Linear(10, 10)})
    model = nn.Sequential(*(nn.Linear(10, 10) for _ in range(11)), block)
    whole = {name: model.get_parameter(name).detach().clone() for name in out}
    sparsifier = sparsified(model, init=init, exclude=exclude)
    covered = [name for name in EVERY if name not in out and (init == "ERK" or name != "0.weight")]
    assert list(sparsifier.masks) == covered
    assert sum(sparsifier.counts().values()) == 20 * len(covered)  # the budget is that of the layers that are left
    assert all(torch.equal(value, model.get_parameter(name)) for name, value in whole.items())


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_a_single_layer_is_a_model(optimizer):
    torch.manual_seed(0)
    model = nn.Linear(30, 10)
    sparsifier = sparsified(model, optimizer=optimizer)
    assert sum(train(model, sparsifier, (30,))) == 2
    assert sparsifier.counts() == {"weight": 60}
    assert flops.inference_flops(model, (30,), sparsifier.densities()) == 120
