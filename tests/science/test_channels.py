"""Hidden channels: which there are, how many are live, what rests while one is dead, and what that costs."""

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from test_sparsifier import OPTIMIZERS
from torch import nn

from rigl_nb import flops, models
from rigl_nb.distributions import uniform
from rigl_nb.execution import Execution
from rigl_nb.iteration import prepare
from rigl_nb.masking.channels import Channel, declared
from rigl_nb.sparsifier import Sparsifier
from rigl_nb.spec import RunSpec


def sparse(model, density=0.2, method="RigL", structure="channel", optimizer="nesterov", **options):
    stepper = OPTIMIZERS[optimizer](model.parameters())
    return Sparsifier(model, stepper, method, "Random", density, **{"t_end": 1000} | options, structure=structure)


def live(sparse):
    """Live channels by reader, from the masks alone."""
    return {name: mask.flatten(2)[0, :, 0] for name, mask in sparse.masks.items()}


def mlp(*widths):
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(*pair) for pair in pairwise(widths)))


def test_the_reports_networks_name_theirs():
    """Every block's; never the residual stream."""
    wide, deep = models.build("wrn-22-2", 10), models.build("resnet50", 100)
    assert len(declared(wide)) == 9 and len(declared(deep)) == 32
    assert declared(wide)[0] == ("blocks.0.conv1", "blocks.0.bn2", "blocks.0.conv2")
    assert declared(deep)[:2] == [
        ("blocks.0.conv1", "blocks.0.bn1", "blocks.0.conv2"),
        ("blocks.0.conv2", "blocks.0.bn2", "blocks.0.conv3"),
    ]


@pytest.mark.parametrize(("name", "density"), [("wrn-22-2", 0.1), ("wrn-10-1", 0.2), ("resnet50", 0.2)])
def test_one_share_of_all_channels_meets_the_budget(name, density):
    """Counts are within one of one share, and their sum is that share's; the weights are then D·N but for rounding."""
    net = models.build(name, 10)
    made = sparse(net, density)
    live_counts = {n: int(v.sum()) for n, v in live(made).items()}
    sizes = {n: len(v) for n, v in live(made).items()}
    low = max((count - 1) / sizes[n] for n, count in live_counts.items())
    high = min((count + 1) / sizes[n] for n, count in live_counts.items())
    assert low < high, "one share is within one channel of all"
    dense = {n: p.numel() for n, p in models.maskable(net).items()}
    assert sum((dense | made.counts()).values()) / sum(dense.values()) == pytest.approx(density, rel=0.02)
    assert all(torch.equal(mask, mask[:1, :, :1, :1].expand_as(mask)) for mask in made.masks.values()), "whole columns"


def test_what_cannot_be_reached_is_told():
    with pytest.raises(
        ValueError, match=r"density 0\.1 is not allowed with structure channel: .* is 0\.126 of the budget"
    ):
        sparse(models.build("resnet50", 100), 0.1)
    with pytest.raises(ValueError, match="knows no hidden channels of Linear: give structure=Channel"):
        sparse(nn.Linear(4, 4))
    with pytest.raises(ValueError, match="knows no hidden channels of TextGRU"):
        sparse(models.build("gru-16", 5))


def test_multiples_and_a_budget_of_flops():
    net = models.build("wrn-22-2", 10)
    cost = flops.layer_flops(net, (3, 32, 32))
    made = sparse(net, 0.2, structure=Channel(multiple=8, cost=cost))
    assert {int(v.sum()) % 8 for v in live(made).values()} == {0}
    assert flops.weighted(cost, made.densities()) / sum(cost.values()) == pytest.approx(0.2, rel=0.1)
    free = sparse(models.build("wrn-22-2", 10), 0.2, structure=Channel(cost=cost))
    assert flops.weighted(cost, free.densities()) / sum(cost.values()) == pytest.approx(0.2, rel=0.01)
    with pytest.raises(ValueError, match="cost is not allowed: it has no layer"):
        sparse(models.build("wrn-22-2", 10), 0.2, structure=Channel(cost={"conv1.weight": 1.0}))
    for multiple, words in ((0, ""), (33, r": 'blocks\.0\.conv1' computes 32 channels")):
        with pytest.raises(ValueError, match=f"multiple {multiple} is not allowed{words}"):
            sparse(models.build("wrn-22-2", 10), 0.2, structure=Channel(multiple=multiple))
    with pytest.raises(ValueError, match="group '0' is not allowed: groups is a list of tuples of names"):
        sparse(mlp(2, 6, 2), 0.5, structure=Channel(groups=("0", "1")))


def test_a_run_has_multiples():
    spec = RunSpec(init="Random", density=0.2, structure="channel", channels_multiple=8)
    assert RunSpec.from_dict(spec.to_dict()) == spec and spec.to_dict()["channels_multiple"] == 8
    assert {int(v.sum()) % 8 for v in live(prepare(spec, Execution(precision="fp32")).sparsifier).values()} == {0}


def test_counts_are_those_of_live_rows_and_columns():
    """By hand: 3 → 6 → 4 → 2 with 3 and 2 live channels has 3·3, 2·3 and 2·2 weights that take part."""
    net = mlp(3, 6, 4, 2)
    masks = {"1.weight": torch.zeros(4, 6, dtype=torch.bool), "2.weight": torch.zeros(2, 4, dtype=torch.bool)}
    masks["1.weight"][:, [0, 2, 5]], masks["2.weight"][:, 1:3] = True, True
    structure = Channel(groups=[("0", "1"), ("1", "2")])
    made = Sparsifier(net, torch.optim.SGD(net.parameters(), 0.1), "Static", masks, structure=structure)
    assert made.counts() == {"0.weight": 9, "1.weight": 6, "2.weight": 4}
    assert made.densities() == {"0.weight": 9 / 18, "1.weight": 6 / 24, "2.weight": 4 / 8}
    assert flops.inference_flops(net, (3,), made.densities()) == 2 * 19


def test_three_channels_move_in_turn():
    """floor(0.3 · 3) is 0 at every update: the fraction is handed on, so 9 of 10 updates move one of three."""
    net = mlp(2, 6, 2)
    made = sparse(net, 0.5, "SET", Channel(groups=[("0", "1")]), delta_t=1, t_end=10**12)
    dropped = []
    for _ in range(10):
        for p in net.parameters():
            p.grad = torch.ones_like(p)
        dropped.append(made.dropped()["1.weight"])
        assert made.step() and int(live_of(made).sum()) == 3
    assert dropped == [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    assert made.state_dict()["carry"]["1.weight"] == pytest.approx(0, abs=1e-9)


def live_of(made):
    return made.masks["1.weight"][0]


def test_one_update_by_hand():
    """Of channels 0, 1, 2 live, 1 reads least and 4 has the largest gradient; 4 starts at 0, its rows as they were."""
    net = mlp(1, 5, 2)
    masks = {"1.weight": torch.tensor([[True, True, True, False, False]] * 2)}
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=0.5)
    options = {"alpha": 0.34, "delta_t": 2, "t_end": 10**9, "structure": Channel(groups=[("0", "1")])}
    made = Sparsifier(net, optimizer, "RigL", masks, **options)
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0], [2], [3], [4], [5]]))
        net[1].weight.copy_(torch.tensor([[3.0, 1, -4, 0, 0], [3, -2, 4, 0, 0]]))
    for step in range(2):
        for p in net.parameters():
            p.grad = torch.zeros_like(p)
        net[1].weight.grad.copy_(torch.tensor([[9.0, 2, 9, 1, -3], [9, 2, 9, 1, 3]]) * step)
        rows, before = net[0].weight.detach().clone(), net[1].weight.detach().clone()
        made.step()
        if step == 0:  # decay: of what is alive
            assert net[0].weight.flatten().tolist() == pytest.approx([0.95, 1.9, 2.85, 4, 5])
    assert live_of(made).tolist() == [True, False, True, False, True]
    assert torch.equal(net[0].weight, rows), "an update steps nothing"
    assert torch.equal(net[1].weight[:, [0, 2]], before[:, [0, 2]]) and not net[1].weight[:, [1, 3, 4]].any()
    momentum = optimizer.state[net[0].weight]["momentum_buffer"].flatten()
    assert momentum[[1, 3, 4]].tolist() == [0, 0, 0] and (momentum[[0, 2]] != 0).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_computes_a_dead_channel_rests(optimizer):
    """In a training of a whole network: values kept bit for bit, no gradient, no buffer; growth changes no output."""
    net, x = models.build("wrn-10-1", 5, rng=np.random.default_rng(0)), torch.randn(8, 3, 8, 8)
    made = sparse(net, 0.3, optimizer=optimizer, delta_t=4, alpha=0.6)
    woken = 0
    for t in range(8):
        made.optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), torch.arange(8) % 5).backward()
        before, dead = (
            {n: p.detach().clone() for n, p in net.named_parameters()},
            {n: ~v for n, v in live(made).items()},
        )
        for names in declared(net):
            rows = dead[f"{names[-1]}.weight"]
            for p in (p for n in names[:-1] for p in net.get_submodule(n).parameters()):
                assert not p.grad[rows].any()
        outputs = net.eval()(x)
        updated = made.step()
        assert not updated or t % 4 == 3
        for names in declared(net):
            rows = dead[f"{names[-1]}.weight"]
            still = rows & ~live(made)[f"{names[-1]}.weight"]
            woken += int((rows & ~still).sum())
            for name, p in ((f"{n}.{k}", p) for n in names[:-1] for k, p in net.get_submodule(n).named_parameters()):
                assert torch.equal(p[rows], before[name][rows]) and (updated or not torch.equal(p, before[name]))
                buffers = [b for b in made.optimizer.state[p].values() if torch.is_tensor(b) and b.shape == p.shape]
                assert not any(b[still].any() for b in buffers)
        if updated:  # the revived channels' columns are 0
            grown = {n: mask & dead[n].view(1, -1, 1, 1) for n, mask in made.masks.items()}
            assert not any(made.weights[n][g].any() for n, g in grown.items())
        assert outputs.isfinite().all()
        net.train()
    assert woken > 5


def test_statistics_of_dead_channels_move_at_updates_alone():
    """There a norm sees every channel once; who dies then keeps what it had, whatever was there before."""
    net = models.build("wrn-10-1", 5, rng=np.random.default_rng(0))
    made, moved, died = sparse(net, 0.3, delta_t=4, alpha=0.6), 0, 0
    for t in range(12):
        dead = {n: ~v for n, v in live(made).items()}
        before, seen = copy.deepcopy(net.state_dict()), torch.randn(8, 3, 8, 8)
        made.optimizer.zero_grad()
        nn.functional.cross_entropy(net(seen), torch.arange(8) % 5).backward()
        forward = copy.deepcopy(net.state_dict())
        updated = made.step()
        for _, norm, reader in declared(net):
            died += int((dead[f"{reader}.weight"] < ~live(made)[f"{reader}.weight"]).sum())
            for key in (f"{norm}.running_mean", f"{norm}.running_var"):
                now, rows = net.state_dict()[key], dead[f"{reader}.weight"]
                assert torch.equal(now, torch.where(rows, before[key], forward[key]) if t % 4 != 3 else forward[key])
                moved += int((now != before[key])[rows].sum())
        assert updated is (t % 4 == 3)
    assert moved > 20 and died > 5


def test_frozen_rows_and_excluded_layers():
    """A group whose layers are not all trained stays dense; a writer that the optimizer lacks has nothing to rest."""
    net = models.build("wrn-10-1", 5)
    made = sparse(net, 0.6, exclude=["blocks.0.conv1", "blocks.1.conv2"])
    assert list(made.masks) == ["blocks.2.conv2.weight"] and set(made.counts()) == {
        f"blocks.2.conv{i}.weight" for i in (1, 2)
    }
    chain, groups = mlp(3, 8, 4), Channel(groups=[("0", "1")])
    made = Sparsifier(chain, torch.optim.SGD([chain[1].weight], 0.1), "Static", "Random", 0.5, structure=groups)
    before, chain[1].weight.grad = chain[0].weight.clone(), torch.ones(4, 8)
    made.step()
    assert torch.equal(chain[0].weight, before) and int(live_of(made).sum()) == 4


WRONG = {
    "no module": ([("0", "9")], "has no attribute"),
    "alone": ([("0",)], "name what computes the channels"),
    "reader": ([("0", "2")], "'2' must be a linear layer or a convolution of one group"),
    "writer": ([("2", "4")], "'2' must be"),
    "rows": ([("0", "3", "5")], "must have a row for each of 4 channels"),
    "mixed": ([("0", "1", "5")], "mix no channels"),
    "inputs": ([("0", "3")], "6 inputs of '3' are not those of 4 channels"),
    "twice": ([("0", "1"), ("0", "5")], "'0' has channels of two"),
}


@pytest.mark.parametrize("case", WRONG)
def test_groups_that_do_not_fit_are_told(case):
    groups, message = WRONG[case]
    layers = (nn.Linear(3, 4), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(6, 5), nn.Linear(4, 4), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=message):
        sparse(nn.Sequential(*layers), structure=Channel(groups=groups))


def test_the_share_solves_its_equation():
    """Bottlenecks have layers of which rows and columns are hidden: the cost is c φ² + b φ + rest."""
    structure = Channel(groups=[("0", "1"), ("1", "2")]).on(net := mlp(30, 100, 200, 10), dict(models.maskable(net)))
    shapes = {n: tuple(w.shape) for n, w in structure.covered(models.maskable(net)).items()}
    shares = structure.densities(uniform, shapes, 0.2)
    phi = (-(3000 + 2000) + math.sqrt(5000**2 + 4 * 20000 * 0.2 * 25000)) / (2 * 20000)
    assert shares == {"1.weight": math.floor(100 * phi + 0.5) / 100, "2.weight": math.floor(200 * phi + 0.5) / 200}
