"""Sizes, initial weights and what may be masked."""

import math

import pytest
import torch
from torch import nn

from rigl_nb import models
from rigl_nb.rng import numpy_generator


def built(name="wrn-10-1", classes=10, seed=0, **options):
    return models.build(name, classes, rng=numpy_generator(seed, "weights"), **options)


@pytest.fixture(scope="module")
def resnet():
    return built("resnet50", 100)


def test_parameter_counts(resnet):
    assert sum(p.numel() for p in built("wrn-22-2").parameters()) == 1_079_642
    assert sum(p.numel() for p in resnet.parameters()) == 23_705_252


@pytest.mark.parametrize("name", ["wrn-10-1", "wrn-16-2", "resnet50"])
def test_output_has_one_logit_per_class(name):
    model = models.build(name, 7).eval()
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    grey = models.build(name, 7, channels=1).eval()
    assert grey(torch.zeros(2, 1, 8, 8)).shape == (2, 7)


def widths(model):
    return {p.shape[0] for p in models.maskable(model).values()}


@pytest.mark.parametrize("density", [0.05, 0.1, 0.2, 0.5])
def test_small_dense_scales_every_channel_count(density):
    """int(c sqrt(D)), stem included, classes unchanged; a bottleneck's output is 4 int(c sqrt(D))."""
    scale = math.sqrt(density)
    wide = models.build("wrn-22-2", 10, width=scale)
    assert widths(wide) == {int(c * scale) for c in (16, 32, 64, 128)} | {10}
    assert wide.fc.out_features == 10
    deep = models.build("resnet50", 100, width=scale)
    inner = [int(c * scale) for c in (64, 128, 256, 512)]
    assert widths(deep) == set(inner) | {4 * c for c in inner} | {100}


def test_small_dense_of_the_issue():
    deep = models.build("resnet50", 100, width=math.sqrt(0.1))
    assert {160, 320, 644} <= widths(deep)
    assert deep.fc.weight.shape == (100, 644)


def test_bottlenecks_start_as_identities(resnet):
    """The last batch norm of every bottleneck has gamma 0, all others 1; no other is touched."""
    norms = {name: module for name, module in resnet.named_modules() if isinstance(module, nn.BatchNorm2d)}
    zero = [name for name, norm in norms.items() if not norm.weight.any()]
    one = [name for name, norm in norms.items() if (norm.weight == 1).all()]
    assert len(zero) == 3 + 4 + 6 + 3
    assert len(zero) + len(one) == len(norms) == 53
    last = {name for name, norm in norms.items() if norm.num_features in (256, 512, 1024, 2048)}
    assert set(zero) <= last
    assert not any(norm.bias.any() for norm in norms.values())
    wide = built("wrn-22-2")
    assert all((norm.weight == 1).all() for norm in wide.modules() if isinstance(norm, nn.BatchNorm2d))


def check_convolutions(model):
    """Each convolution: mean 0 and deviation sqrt(2 / (k^2 c_out)), within five standard errors."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            weight, (c_out, _, h, w) = module.weight.detach().double(), module.weight.shape
            sigma, n = math.sqrt(2 / (h * w * c_out)), weight.numel()
            assert abs(weight.std() / sigma - 1) < 5 / math.sqrt(2 * n), name
            assert abs(weight.mean()) < 5 * sigma / math.sqrt(n), name
            assert weight.abs().max() > 2.2 * sigma, name  # normal, not uniform (at most 1.73 sigma)


def test_initial_standard_deviations(resnet):
    check_convolutions(built("wrn-22-2"))
    check_convolutions(resnet)


def test_classifier_bias_starts_at_zero(resnet):
    for model in (built("wrn-22-2"), resnet):
        assert not model.fc.bias.any()
        assert model.fc.weight.any()


def test_same_seed_same_weights():
    first, again, other = built(seed=1), built(seed=1), built(seed=2)
    for (name, a), b, c in zip(first.named_parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name
        if a.dim() > 1:
            assert not torch.equal(a, c), name


def test_weights_come_from_the_generator_alone():
    torch.manual_seed(1)
    first = built()
    torch.manual_seed(2)
    again = built()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("name", ["resnet", "wrn-22", "wrn-21-2", "wrn-22-x", "WRN-22-2", "", "wrn-4-2"])
def test_unknown_names_are_errors_that_list_the_known(name):
    with pytest.raises(ValueError, match="resnet50") as caught:
        models.build(name, 10)
    assert repr(name) in str(caught.value)
    assert "wrn-" in str(caught.value)


def test_maskable_is_every_convolution_and_linear_weight(resnet):
    for model in (built("wrn-22-2"), resnet):
        masked = models.maskable(model)
        layers = (nn.Conv2d, nn.Linear)
        wanted = [f"{name}.weight" for name, layer in model.named_modules() if isinstance(layer, layers)]
        assert sorted(masked) == sorted(wanted)
        parameters = dict(model.named_parameters())
        assert all(masked[name] is parameters[name] for name in masked)
        assert all(parameter.dim() in (2, 4) for parameter in masked.values())
        assert sum(p.dim() == 2 for p in masked.values()) == 1  # the classifier is masked


def test_first_layer_can_stay_out(resnet):
    for model, stem in ((built("wrn-22-2"), (16, 3, 3, 3)), (resnet, (64, 3, 3, 3))):
        everything, rest = models.maskable(model), models.maskable(model, first_layer=False)
        (missing,) = set(everything) - set(rest)
        assert tuple(everything[missing].shape) == stem
        assert list(rest) == [name for name in everything if name != missing]


def test_dropout_sits_between_the_two_convolutions_of_each_block():
    model = built("wrn-16-1", dropout=0.3)
    places = [name for name, module in model.named_modules() if type(module).__name__ == "Dropout"]
    assert len(places) == 6
    order = []
    for name, module in model.named_modules():
        if type(module).__name__ in ("Conv2d", "Dropout"):
            module.register_forward_hook(lambda *_, name=name: order.append(name))
    model(torch.zeros(2, 3, 32, 32))
    for place in places:
        index, block = order.index(place), place.rsplit(".", 1)[0]
        assert order[index - 1].startswith(block) and order[index + 1].startswith(block)


def test_dropout_scales_what_it_keeps_and_stops_in_evaluation():
    dropout = models.Dropout(0.3)
    dropout.generator = torch.Generator().manual_seed(0)
    x = torch.ones(100_000)
    y = dropout(x)
    assert y.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert abs((y == 0).float().mean() - 0.3) < 5 * math.sqrt(0.21 / 100_000)
    assert torch.equal(dropout.eval()(x), x)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.7])
def test_dropout_drops_each_value_for_itself(p):
    """Four numbers come from one draw: each drops its share, and no two of them go together."""
    dropout = models.Dropout(p)
    dropout.generator = torch.Generator().manual_seed(0)
    dropped = (dropout(torch.ones(50_000, 4)) == 0).double()
    assert abs(dropped.mean(0) - p).max() < 5 * math.sqrt(p * (1 - p) / 50_000)
    assert (torch.corrcoef(dropped.T) - torch.eye(4)).abs().max() < 5 / math.sqrt(50_000)


def test_dropout_takes_any_shape_and_layout():
    x = torch.arange(1.0, 2 * 3 * 5 * 7 + 1).view(2, 3, 5, 7)  # not a multiple of four
    for given in (x, x.contiguous(memory_format=torch.channels_last), x[:, :2], x[:1].expand(4, 3, 5, 7), x[:0]):
        y = models.Dropout(0.5)(given)
        assert ((y == 0) | (y == 2 * given)).all() and y.stride() == torch.empty_like(given).stride()


def test_dropout_draws_from_its_generator_only():
    dropout, state = models.Dropout(0.5), torch.get_rng_state()
    outputs = []
    for _ in range(2):
        dropout.generator = torch.Generator().manual_seed(7)
        outputs.append(dropout(torch.ones(64)))
    assert torch.equal(*outputs)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [1, 3, 5, 7, 8, 11, 16])
@pytest.mark.parametrize("name", ["wrn-10-1", "resnet14-8"])
def test_gradients_of_narrow_networks_are_right_in_every_layout(name, channels, layout):
    """As many channels in the stem as Small-Dense networks have, beside the same network in float64."""
    images = torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def gradients(dtype, memory_format) -> dict[str, torch.Tensor]:
        model = built(name, width=channels / (8 if name in models.RESNETS else 16), channels=1)
        model = model.to(dtype, memory_format=memory_format)
        out = model(images.to(dtype, memory_format=memory_format))
        nn.functional.cross_entropy(out, torch.arange(32) % 10).backward()
        return {name: p.grad.double() for name, p in model.named_parameters()}

    right = gradients(torch.float64, torch.contiguous_format)
    largest = max(float(gradient.norm()) for gradient in right.values())
    for name, gradient in gradients(torch.float32, layout).items():
        assert float((gradient - right[name]).norm()) < 1e-4 * largest, name
