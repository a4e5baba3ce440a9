"""Models that are not ours: torchvision's networks, gradient accumulation, and clear words where it cannot work."""

import copy
import math

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from rigl_nb import flops, masks, methods, rng
from rigl_nb.sparsifier import Sparsifier

MOVING = sorted(name for name in methods.BUILT_IN if methods.get(name).moves)


def sparsified(model, method="RigL", optimizer=torch.optim.SGD, **options):
    """Masks that change at t = 1 and 3; SGD with momentum and weight decay unless another optimizer is asked for."""
    sgd = {"momentum": 0.9, "weight_decay": 5e-4} if optimizer is torch.optim.SGD else {}
    defaults = {"density": 0.2, "delta_t": 2, "t_end": 4}
    return Sparsifier(model, optimizer(model.parameters(), lr=0.05, **sgd), method, **(defaults | options))


def batches(shape, count, size=4):
    stream = torch.Generator().manual_seed(0)
    for _ in range(count):
        yield torch.randn(size, *shape, generator=stream), torch.randint(0, 10, (size,), generator=stream)


def train(model, sparsifier, shape, steps=6):
    """Train on noise, and say after every step whether the masks were updated; inactive must be 0 all the time."""
    for x, y in batches(shape, steps):
        sparsifier.optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        yield sparsifier.step()
        assert_inactive_is_zero(sparsifier)


def assert_inactive_is_zero(sparsifier):
    for name, weight in sparsifier.weights.items():
        mask, state = sparsifier.masks[name], sparsifier.optimizer.state[weight]
        buffers = [v for v in state.values() if torch.is_tensor(v) and v.shape == weight.shape]
        for values in (weight, *(() if sparsifier.method.dense_momentum else buffers)):
            assert not values.masked_fill(mask, 0).any(), name
        assert sparsifier.counts()[name] == int(mask.sum()), name


def counted(model, *shape):
    """Torch's own count of one pass of one image."""
    model = copy.deepcopy(model).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, *shape, device="meta"))
    return counter.get_total_flops()


@pytest.mark.parametrize("method", sorted(methods.BUILT_IN - {"Small-Dense"}))
@pytest.mark.parametrize(("name", "t_end"), [("resnet18", 2), ("mobilenet_v3_small", 4)])
def test_every_method_trains_torchvisions_networks(name, t_end, method):
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None, num_classes=10)
    names = {id(p): name for name, p in model.named_parameters()}
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    shapes = {names[id(layer.weight)]: layer.weight.shape for layer in layers}
    assert any(getattr(layer, "groups", 1) > 1 for layer in layers) is (name == "mobilenet_v3_small")
    sizes, init, draw = [math.prod(shape) for shape in shapes.values()], "ERK", rng.numpy_generator(0, "ticket")
    if method == "Lottery":
        init = {k: masks.random_mask(shape, math.prod(shape) // 10, draw) for k, shape in shapes.items()}
    sparsifier = sparsified(model, method, init=init, density=0.1, t_end=t_end)
    first, last = sparsifier.counts(), sparsifier.counts()
    before = {name: mask.clone() for name, mask in sparsifier.masks.items()}
    weights, updates = [layer.weight.detach().clone() for layer in layers], 0
    for updated in train(model, sparsifier, (3, 32, 32), steps=t_end + 2):
        counts, updates = sparsifier.counts(), updates + updated
        if method == "Pruning":
            assert all(counts[name] <= last[name] for name in last)
        elif methods.get(method).share:
            assert sum(counts.values()) == sum(first.values())
        else:
            assert counts == first
        last = counts
    covered = sizes[1:] if method == "Pruning" else sizes  # its first layer stays dense
    wanted = {"Dense": 0, "Small-Dense": 0, "Lottery": sum(size // 10 for size in sizes)}
    assert sum(last.values()) == wanted.get(method, math.floor(0.1 * sum(covered) + 0.5))
    assert updates == (t_end // 2 + (method == "Pruning") if method in MOVING else 0)
    assert any(not torch.equal(before[k], mask) for k, mask in sparsifier.masks.items()) is (method in MOVING)
    assert all(not torch.equal(old, layer.weight) for old, layer in zip(weights, layers, strict=True))


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_x0_5", "resnext50_32x4d", "efficientnet_b0"])
def test_cost_of_grouped_networks_is_torchs_count(name):
    with torch.device("meta"):
        model = getattr(torchvision.models, name)(weights=None)
    assert flops.inference_flops(model, (3, 64, 64)) == counted(model, 3, 64, 64)


def small(seed=0):
    torch.manual_seed(seed)
    layers = nn.Conv2d(2, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 16, 3, groups=2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 10))


@pytest.mark.parametrize("method", [*MOVING, "Static"])
def test_two_half_batches_are_one_whole(method):
    """Gradients that add up over two backward passes: the same masks, and the same weights to float accuracy."""
    models = [small().double() for _ in range(2)]  # rounding must not decide a ranking
    whole, halves = (sparsified(model, method, t_end=16, alpha=0.5) for model in models)
    moved = 0
    for x, y in ((x.double(), y) for x, y in batches((2, 6, 6), 20, size=16)):
        for sparsifier in (whole, halves):
            sparsifier.optimizer.zero_grad()
        cross_entropy(models[0](x), y).backward()
        for part in (slice(0, 8), slice(8, 16)):
            (cross_entropy(models[1](x[part]), y[part]) / 2).backward()
        before = {name: mask.clone() for name, mask in whole.masks.items()}
        assert whole.step() == halves.step()
        moved += sum(int((before[name] != mask).sum()) for name, mask in whole.masks.items())
        assert all(torch.equal(mask, halves.masks[name]) for name, mask in whole.masks.items())
    assert (moved > 0) is (method in MOVING)
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "optimizer", ["Adafactor", "Adadelta", "Adagrad", "AdamW", "ASGD", "NAdam", "RAdam", "RMSprop"]
)
def test_other_optimizers_leave_inactive_weights_at_zero(optimizer):
    model = small()
    sparsifier = sparsified(model, optimizer=getattr(torch.optim, optimizer))
    first = sparsifier.counts()
    assert sum(train(model, sparsifier, (2, 6, 6))) == 2
    assert sparsifier.counts() == first


def lazy():
    return nn.Sequential(nn.Linear(4, 4), nn.LazyLinear(10))


def normed():
    return nn.Sequential(nn.Linear(4, 4), parametrizations.weight_norm(nn.Linear(4, 10)))


def plain():
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))


WRONG = {
    "norms only": (lambda: nn.BatchNorm1d(4), {}, "no layer to mask"),
    "embeddings only": (lambda: nn.Embedding(4, 4), {}, "no layer to mask"),
    "all excluded": (plain, {"exclude": ["0", "2"]}, "no layer to mask"),
    "all frozen": (lambda: plain().requires_grad_(False), {}, "no layer to mask"),
    "exclude: a typing error": (plain, {"exclude": ["0", "second"]}, r"'second' names no layer.* 0, 2$"),
    "exclude: no layer": (plain, {"exclude": ["1"]}, r"'1' names no layer.* 0, 2$"),
    "parametrised": (normed, {}, "layer '1' computes its weight"),
    "lazy": (lazy, {}, "layer '1' has no shape yet"),
    "no masks": (plain, {"method": "Lottery"}, "Lottery starts from masks"),
    "masks of another name": (plain, {"init": {"1.weight": torch.ones(4, 4) > 0}}, r"'1\.weight' fits no layer.*0\.w"),
    "masks of another shape": (plain, {"init": {"2.weight": torch.ones(4, 5) > 0}}, r"'2\.weight' fits no layer"),
    "masks of numbers": (plain, {"init": {"2.weight": torch.ones(4, 4)}}, r"'2\.weight' fits no layer.*boolean"),
    "a full model as a narrow one": (plain, {"method": "Small-Dense"}, r"density 0\.2 .*channels"),
    "a name in a bare layer": (lambda: nn.Linear(4, 4), {"exclude": "fc"}, "'fc' names no layer: .* weight"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_masked_is_named(case):
    build, options, named = WRONG[case]
    with pytest.raises(ValueError, match=named):
        sparsified(build(), **options)


@pytest.mark.parametrize("build", [lazy, normed])
def test_what_cannot_be_masked_can_be_excluded(build):
    model = build()
    sparsifier = sparsified(model, exclude=["1"])
    assert sum(train(model, sparsifier, (4,))) == 2
    assert sparsifier.counts() == {"0.weight": 3}


def test_a_layer_that_the_optimizer_lacks_is_named():
    model = plain()
    with pytest.raises(ValueError, match=r"'2\.weight' is not in the optimizer"):
        Sparsifier(model, torch.optim.SGD(model[0].parameters(), lr=0.1), t_end=4)
    Sparsifier(model, torch.optim.SGD(model[0].parameters(), lr=0.1), t_end=4, exclude=["2"])


@pytest.mark.parametrize("method", ["SNFS", "RigL-SM"])
def test_a_ranking_by_momentum_needs_some(method):
    model = plain()
    with pytest.raises(ValueError, match=f"{method} ranks by momentum"):
        Sparsifier(model, torch.optim.SGD(model.parameters(), lr=0.1), method, t_end=4)
    Sparsifier(model, torch.optim.AdamW(model.parameters()), method, t_end=4)


def test_cost_of_a_layer_that_computes_its_weight():
    model = normed()
    sparsifier = sparsified(model, exclude=["1"])
    assert flops.inference_flops(model, (4,), sparsifier.densities()) == pytest.approx(2 * 3 + 2 * 40)


def test_cost_of_a_layer_that_only_training_uses():
    with torch.device("meta"):
        model = torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False)
    some = {"fc.weight": 1.0, "aux1.fc1.weight": 0.1}
    assert flops.inference_flops(model, (3, 64, 64), some) == counted(model, 3, 64, 64)


def test_an_empty_set_of_masks_is_refused():
    with pytest.raises(ValueError, match="no mask"):
        sparsified(plain(), "Lottery", init={})


def test_only_the_first_layer_stays_dense_beside_what_is_excluded():
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)), nn.Linear(4, 4), nn.Linear(4, 4))
    assert list(sparsified(model, init="Random", exclude=["0"]).masks) == ["1.weight", "2.weight"]
