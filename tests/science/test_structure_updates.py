"""Structured updates beside a slow version in plain loops, and what holds after every step."""

import math

import numpy as np
import pytest
import structured
import torch
from holding import bits, take_gradients, values_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sparsifier import OPTIMIZERS
from torch import nn

from rigl_nb.masking.channels import Channel
from rigl_nb.methods import Layer
from rigl_nb.sparsifier import Sparsifier

NAMES = ("kernel", "channel", "fan-in", "2:4")


def network(structure, a, b):
    """Layers whose gradients a test writes; between the first and the last, two sets of hidden channels."""
    a, b = (4 * a, 4 * b) if structure == "2:4" else (a, b)
    layers = [nn.Conv2d(2, a, 3), nn.BatchNorm2d(a), nn.Conv2d(a, b, (2, 1)), nn.BatchNorm2d(b), nn.Linear(2 * b, 4)]
    return nn.ModuleList(layers)


@st.composite
def trainings(draw):
    """Draw a Sparsifier with a structure, and where gradients come from: few values, so that ties decide."""
    structure, stream = draw(st.sampled_from(NAMES)), torch.Generator().manual_seed(draw(st.integers(0, 99)))
    model = network(structure, draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    for p in model.parameters():
        p.data = torch.randint(-3, 4, p.shape, generator=stream).float()
    uniform = structure in ("channel", "2:4")
    options = {
        "method": draw(st.sampled_from(["Static", "SET", "RigL"])),
        "init": "Random" if uniform else draw(st.sampled_from(["Random", "ER", "ERK"])),
        "density": 0.5 if structure == "2:4" else draw(st.integers(1, 20)) / 20,
        "alpha": draw(st.sampled_from([0.3, 0.7, 1.0])),
        "delta_t": draw(st.integers(1, 3)),
        "t_end": draw(st.integers(3, 12)),
        "seed": draw(st.integers(0, 9)),
    }
    kind = structure
    if structure == "channel":
        kind = Channel(groups=[("0", "1", "2"), ("2", "3", "4")])
        shares = (draw(st.integers(1, len(model[i].weight))) for i in (0, 2))
        options["init"] = dict(zip(("2.weight", "4.weight"), channel_masks(model, shares, stream), strict=True))
    optimizer = OPTIMIZERS[draw(st.sampled_from(list(OPTIMIZERS)))](model.parameters())
    return structure, model, Sparsifier(model, optimizer, structure=kind, **options), options, stream


def channel_masks(model, counts, stream):
    """Yield masks of the two layers that read hidden channels, with so many live ones."""
    for writer, reader, count in zip((model[0], model[2]), (model[2], model[4]), counts, strict=True):
        live = torch.randperm(len(writer.weight), generator=stream) < count
        shape = reader.weight.shape
        yield live.repeat_interleave(shape[1] // len(live)).view(1, -1, *[1] * (len(shape) - 2)).expand(shape).clone()


@given(trainings(), st.sampled_from([None, None, None, math.nan, math.inf]))
@settings(max_examples=80)
def test_every_step_follows_the_rules(training, bad):
    structure, model, sparse, options, stream = training
    channels = {"2.weight": len(model[0].weight), "4.weight": len(model[2].weight)}
    carry, first = dict.fromkeys(sparse.masks, 0.0), {n: int(m.sum()) for n, m in sparse.masks.items()}
    for t in range(8):
        take_gradients(model, stream, bad)
        before = {name: values_of(sparse, weight) for name, weight in sparse.weights.items()}
        masks = {name: mask.numpy().copy() for name, mask in sparse.masks.items()}
        grads = {name: weight.grad.numpy().copy() for name, weight in sparse.weights.items()}
        others = {name: p.detach().clone() for name, p in model.named_parameters() if name not in masks}
        dead = {n: ~structured.live(m, channels[n]) for n, m in masks.items()} if structure == "channel" else {}
        updated = sparse.step()
        check_state(sparse, structure, first, channels)
        for name, mask in masks.items():
            new = sparse.masks[name].numpy()
            if not updated:
                assert np.array_equal(new, mask)
                continue
            fraction = options["alpha"] / 2 * (1 + math.cos(math.pi * t / options["t_end"]))
            quota = structured.moved(structure, mask, fraction, carry[name], channels.get(name))
            count = math.floor(quota + 1e-9)
            carry[name] = quota - count
            old = before[name]["weight"].numpy()
            kept, want = structured.update(structure, old, grads[name], mask, count, channels.get(name))
            assert options["method"] != "RigL" or np.array_equal(new, want), (name, t)
            assert options["method"] != "SET" or (new >= kept).all(), (name, t)
            survives, awake = torch.from_numpy(mask & new), torch.from_numpy(mask & new)
            if dead and name == "2.weight":  # its rows compute channels too: buffers of those that died are gone
                awake[~structured.live(sparse.masks["4.weight"].numpy(), channels["4.weight"])] = False
            for key, value in values_of(sparse, sparse.weights[name]).items():
                stays = survives if key == "weight" else awake
                assert bits(value[stays]) == bits(before[name][key][stays]) and not value[~stays].any(), key
        check_rest(sparse, model, updated, others, dead)


def check_state(sparse, structure, first, channels):
    """Counts stand, units are whole, and what is inactive is 0."""
    for name, weight in sparse.weights.items():
        mask = sparse.masks[name]
        assert int(mask.sum()) == first[name] == sparse.active[name]
        counts = {
            sum(structured.active(mask.numpy(), p)) for p in structured.pools(structure, mask.shape, channels.get(name))
        }
        assert len(counts) == 1
        assert structure != "2:4" or counts == {2}
        assert structure != "channel" or min(counts) > 0
        for value in (*values_of(sparse, weight).values(), weight.grad):
            assert not value[~mask].any()


def check_rest(sparse, model, updated, others, dead):
    """An update changes nothing else; a step leaves the rows of dead channels alone, and has no buffers of them."""
    resting = {}
    for reader, rows in {"2.weight": ("0", "1"), "4.weight": ("3",)}.items():
        for name in (f"{row}.{kind}" for row in rows for kind in ("weight", "bias")):
            resting[name] = dead.get(reader)
    resting["2.bias"] = dead.get("4.weight")
    for name, value in others.items():
        parameter, rows = model.get_parameter(name), resting.get(name)
        rows = torch.zeros(len(value), dtype=torch.bool) if rows is None else torch.from_numpy(rows)
        rows = torch.ones_like(rows) if updated else rows
        assert bits(parameter[rows]) == bits(value[rows]), name
    for reader, dead_now in ((n, ~sparse.structure.live(n, m)[0]) for n, m in sparse.masks.items() if dead):
        for name in (name for name, rows in resting.items() if rows is dead[reader]):
            for key, buffer in values_of(sparse, model.get_parameter(name)).items():
                assert key == "weight" or not buffer[dead_now].any(), (name, key)


@pytest.mark.parametrize("structure", NAMES)
def test_growth_at_random_prefers_no_unit(structure):
    """SET on equal weights: which units come is a fair draw over all that are not kept."""
    landed, n = 0, 200
    for seed in range(n):
        model = network(structure, 8, 3) if structure != "2:4" else network(structure, 2, 1)
        for p in model.parameters():
            p.data, p.grad = torch.ones_like(p), torch.ones_like(p)
        kind = Channel(groups=[("0", "1", "2")]) if structure == "channel" else structure
        options = {"density": 0.5, "alpha": 0.5, "delta_t": 1, "t_end": 10**9, "seed": seed, "structure": kind}
        sparse = Sparsifier(model, torch.optim.SGD(model.parameters(), 0.1), "SET", "Random", **options)
        mask = sparse.masks["2.weight"].clone()
        layer = Layer(sparse.weights["2.weight"], sparse.weights["2.weight"].grad, mask, {})
        kept = sparse.drop({"2.weight": layer})[0]["2.weight"]
        sparse.step()
        assert (sparse.masks["2.weight"] | ~kept).all() and int(sparse.masks["2.weight"].sum()) == int(mask.sum())
        landed = landed + (sparse.masks["2.weight"] & ~kept).double() - chance(structure, kept, mask)
    assert (landed.abs() < 5 * math.sqrt(n) / 2).all()


def chance(structure, kept, mask):
    """How probable it is that an entry comes: as many units as were dropped, over all that are not kept."""
    expected = torch.zeros_like(kept, dtype=torch.float64)
    channels = mask.shape[1]
    for pool in structured.pools(structure, mask.shape, channels):
        still, were = structured.active(kept, pool), structured.active(mask, pool)
        share = (sum(were) - sum(still)) / max(len(pool) - sum(still), 1)
        for unit, stays in zip(pool, still, strict=True):
            for index in unit:
                expected[index] = 0 if stays else share
    return expected
