"""The compact model is the masked one: bit for bit where sums are exact, else to the last bits; in training too."""

import copy

import numpy as np
import pytest
import torch
from driving import drive
from torch import nn

from rigl_nb import flops, methods, models
from rigl_nb.compact import compact, kept
from rigl_nb.execution import Execution
from rigl_nb.iteration import network
from rigl_nb.masking.channels import Channel
from rigl_nb.sparsifier import Sparsifier
from rigl_nb.spec import RunSpec

NETWORKS = [("wrn-10-1", 0.1), ("wrn-16-2", 0.2), ("wrn-10-1", 0.7), ("resnet14-8", 0.5), ("resnet14-8", 0.9)]
SGD = {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-3}


def network_of(name):
    """A network in double precision with norms of its own."""
    net, stream = models.build(name, 5, rng=np.random.default_rng(0)).double(), torch.Generator().manual_seed(1)
    for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
        for values in (norm.weight.data, norm.bias.data, norm.running_mean):
            values.normal_(generator=stream)
        norm.running_var.uniform_(0.5, 2, generator=stream)
    return net


def whole_network(name):
    """All numbers whole: a few weights of ±1 for each output, norms that multiply by 1 or 2."""
    net, stream = network_of(name), torch.Generator().manual_seed(1)

    def whole(values, low, high):
        return torch.randint(low, high + 1, values.shape, generator=stream).to(values.dtype)

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            signs, few = whole(module.weight, 0, 1) * 2 - 1, torch.rand(module.weight.shape, generator=stream)
            module.weight.data = signs * (few < 3 / module.weight[0].numel())
        if isinstance(module, nn.BatchNorm2d):
            root = 2 ** whole(module.weight, 0, 1)
            module.eps, module.running_var = 0.0, root**2
            module.weight.data = root * 2 ** whole(root, 0, 1) * (whole(root, 0, 1) * 2 - 1)
            module.bias.data, module.running_mean = whole(root, -2, 2), whole(root, -2, 2)
    net.fc.bias.data = whole(net.fc.bias, -2, 2)
    return net


def sparse(net, density, method="RigL", **options):
    optimizer = torch.optim.SGD(net.parameters(), **SGD)
    return Sparsifier(
        net, optimizer, method, "Random", density, **{"delta_t": 3, "t_end": 90} | options, structure="channel"
    )


def images(stream):
    x = torch.randn(16, 3, 8, 8, generator=stream, dtype=torch.float64)
    return x, torch.randint(0, 5, (16,), generator=stream)


def descend(net, optimizer, x, y):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net.train()(x), y)
    loss.backward()
    return loss.item()


@pytest.mark.parametrize(
    ("name", "density", "dtype"),
    [*((*network, torch.float64) for network in NETWORKS), ("wrn-10-1", 0.2, torch.float32)],
)
def test_bit_for_bit_where_sums_are_exact(name, density, dtype):
    """Whole numbers, far from what the precision holds: no sum is rounded, whatever its order."""
    net, seen = whole_network(name).to(dtype).eval(), []
    small = compact(net, sparse(net, density))
    for module in (module for module in net.modules() if not list(module.children())):
        module.register_forward_hook(lambda module, inputs, output: seen.append(output))
    x = torch.randint(-3, 4, (6, 3, 8, 8), generator=torch.Generator().manual_seed(2)).to(dtype)
    with torch.no_grad():
        outputs = net(x)
        assert outputs.std() > 1 and torch.equal(small(x), outputs)
    assert max(float(values.abs().max()) for values in seen) < 2 ** (20 if dtype == torch.float32 else 48)
    assert all(torch.equal(values, values.round()) for values in seen[:-1]), "the last one follows a mean over pixels"


@pytest.mark.parametrize(("name", "density"), NETWORKS)
def test_to_the_last_bits_elsewhere(name, density):
    net = network_of(name).eval()
    made = sparse(net, density)
    small, x = compact(net, made), images(torch.Generator().manual_seed(2))[0]
    with torch.no_grad():
        torch.testing.assert_close(small(x), net(x), rtol=0, atol=1e-12)
        assert net(x).std() > 1e-2


@pytest.mark.parametrize(("name", "density"), NETWORKS)
def test_it_is_an_ordinary_smaller_module(name, density):
    """Its weights are what the sparsifier counts, its cost what densities say; layers know their sizes."""
    net = network_of(name)
    made = sparse(net, density)
    small = compact(net, made)
    assert type(small) is type(net) and all(
        type(a) is type(b) for a, b in zip(small.modules(), net.modules(), strict=True)
    )
    weights = models.maskable(small)
    assert {n: weights[n].numel() for n in made.counts()} == made.counts()
    cost = flops.weighted(flops.layer_flops(net, (3, 8, 8)), made.densities())
    assert flops.inference_flops(small, (3, 8, 8)) == pytest.approx(cost, rel=1e-12)
    for module in small.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.shape[:2] == (module.out_channels, module.in_channels)
        if isinstance(module, nn.BatchNorm2d):
            sizes = {len(t) for t in (module.weight, module.bias, module.running_mean, module.running_var)}
            assert sizes == {module.num_features}
    mine = {p.data_ptr() for p in net.parameters()}
    assert not mine & {p.data_ptr() for p in small.parameters()}, "nothing is shared"


@pytest.mark.parametrize(("name", "density"), NETWORKS[1:4])
@pytest.mark.parametrize("moved", [0, 9])
def test_trained_compact_is_trained_masked(name, density, moved):
    """20 steps of SGD with momentum and decay, of both; before, `moved` iterations let RigL move channels thrice."""
    net = network_of(name)
    made = sparse(net, density, t_end=9, alpha=0.8)
    stream = torch.Generator().manual_seed(3)
    first = copy.deepcopy(made.masks)
    for _ in range(moved):
        descend(net, made.optimizer, *images(stream))
        made.step()
    assert moved == 0 or any(not torch.equal(mask, made.masks[n]) for n, mask in first.items())
    small = compact(net, made)
    optimizer = torch.optim.SGD(small.parameters(), **SGD)
    made.optimizer.state.clear()  # momentum of before is the masked one's alone
    made.method = methods.get("Static")
    losses, before = [], {name: p.detach().clone() for name, p in small.named_parameters()}
    for _ in range(20):
        batch = images(stream)
        losses.append((descend(net, made.optimizer, *batch), descend(small, optimizer, *batch)))
        made.step(), optimizer.step()
    for masked, compacted in losses:
        assert abs(masked - compacted) < 1e-12
    assert all(not torch.equal(p, before[name]) for name, p in small.named_parameters()), "it learns"
    x = images(stream)[0]
    with torch.no_grad():
        torch.testing.assert_close(small.eval()(x), net.eval()(x), rtol=0, atol=1e-12)
    again = compact(net, made).state_dict()
    for key, value in small.state_dict().items():
        torch.testing.assert_close(value, again[key], rtol=0, atol=1e-12)


def test_the_runs_network_of_the_profile():
    """As `network` and channels-last give it, in single precision."""
    spec = RunSpec(data="digits", init="Random", density=0.2, structure="channel", epochs=3)
    net = network(spec, np.random.default_rng(0)).to(memory_format=torch.channels_last).eval()
    made = Sparsifier(net, torch.optim.SGD(net.parameters(), 0.1), "RigL", "Random", 0.2, t_end=9, structure="channel")
    small, x = compact(net, made), torch.randn(5, 1, 8, 8)
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in small.parameters() if p.ndim == 4)
    with torch.no_grad():
        torch.testing.assert_close(small(x), net(x), rtol=1e-5, atol=1e-5)


def test_other_models_that_name_their_groups():
    """A depthwise convolution between, a linear layer that reads flattened channels, a bias, a norm without weights."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8, affine=False))
    net = nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    structure = Channel(groups=[("0", "1", "2", "3", "6"), ("6", "8")])
    made = Sparsifier(net, torch.optim.SGD(net.parameters(), 0.1), "Static", "Random", 0.3, structure=structure)
    small, x = compact(net, made), torch.randn(4, 3, 8, 8, dtype=torch.float64)
    assert small[2].groups == small[2].in_channels == small[0].out_channels == len(small[3].running_mean) < 8
    assert small[6].in_features == 16 * small[0].out_channels and small[6].out_features == small[8].in_features < 6
    torch.testing.assert_close(small.eval()(x), net.eval()(x), rtol=0, atol=1e-12)
    assert sum(p.numel() for p in models.maskable(small).values()) == sum(made.counts().values())


def test_what_has_no_compact_model_is_told():
    net = network_of("wrn-10-1")
    weights = Sparsifier(net, torch.optim.SGD(net.parameters(), 0.1), "Static", "Random", 0.5)
    with pytest.raises(ValueError, match=r"structure weight has no compact model: .* structure='channel'"):
        compact(net, weights)
    made = sparse(network_of("wrn-10-1"), 0.5)
    with pytest.raises(ValueError, match=r"layer 'blocks\.0\.conv2\.weight' is not under the sparsifier's mask"):
        compact(network_of("wrn-10-1"), made)
    with pytest.raises(ValueError, match="model WideResNet is not the sparsifier's"):
        compact(network_of("wrn-16-2"), made)
    with pytest.raises(ValueError, match="model Linear is not the sparsifier's"):
        compact(nn.Linear(3, 3), made)
    grouped = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 4, 3))
    made = Sparsifier(
        grouped,
        torch.optim.SGD(grouped.parameters(), 0.1),
        "Static",
        "Random",
        0.5,
        structure=Channel(groups=[("0", "1", "2")]),
    )
    with pytest.raises(ValueError, match="GroupNorm has no compact model"):
        compact(grouped, made)


def test_what_is_kept_says_where_it_came_from():
    net = network_of("resnet14-8")
    made = sparse(net, 0.5)
    small, parts = compact(net, made), kept(net, made)
    for path, part in parts.items():
        big, little = net.get_submodule(path).weight, small.get_submodule(path).weight
        for side, index in enumerate((part.rows, part.columns)):
            big = big if index is None else big.index_select(side, index)
        assert torch.equal(big, little), path


@pytest.mark.parametrize("method", ["Static", "RigL"])
def test_a_run_counts_what_the_compact_network_costs(method):
    """One epoch of the digits: FLOPs from the densities are those of a network of as many channels."""
    fields = {"data": "digits", "epochs": 1, "batch_size": 256, "init": "Random", "density": 0.2, "dropout": 0.0}
    moves = {"delta_t": 2} if method == "RigL" else {}
    spec = RunSpec(method=method, structure="channel", **fields, **moves)
    result = drive(spec, Execution(precision="fp32", threads=1))[0]
    net = network(spec).eval()
    sparse = Sparsifier(net, torch.optim.SGD(net.parameters(), 0.1), "Static", result.masks, structure="channel")
    cost = flops.inference_flops(compact(net, sparse), (1, 8, 8))
    assert result.test_flops == pytest.approx(cost / result.dense_flops, rel=1e-12)
    assert result.active[0]["counts"] == sparse.counts()
