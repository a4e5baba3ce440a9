"""Section 6.3: distributions of equal cost, by hooks on real networks and the masks that training starts with."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex

from rigl_nb import models, paths
from rigl_nb.distributions import DISTRIBUTIONS, erdos_renyi_kernel
from rigl_nb.execution import Execution
from rigl_nb.experiments.grids import PROFILES
from rigl_nb.iteration import prepare
from rigl_nb.report.sections import beyond_family

PAPER, QUICK = PROFILES["paper"], PROFILES["quick"]
SIZES = pytest.mark.parametrize("profile", [PAPER, QUICK], ids=lambda profile: profile.name)
FINE = (-0.5, -0.2, 0.0, 0.3, 0.5, 0.8, 1.0, 1.3, 1.5)


def network(model):
    """Shapes of all layers, and how often each one's kernel is applied, seen by hooks in a forward pass."""
    net, seen = models.build(model, 10).eval(), {}
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(lambda m, i, o, name=name: seen.update({f"{name}.weight": o[0, 0].numel()}))
    net(torch.zeros(1, 3, 32, 32))
    return {n: tuple(p.shape) for n, p in net.named_parameters() if n in seen}, seen


def spread(shapes, density, exponent):
    """Layer densities by another way than the module's: bisection for the factor, cut at 1."""
    ratio = {n: (sum(s) / math.prod(s)) ** exponent for n, s in shapes.items()}
    size = {n: math.prod(s) for n, s in shapes.items()}
    low, high = 0.0, 1e6
    for _ in range(70):
        factor = (low + high) / 2
        total = sum(size[n] * min(1.0, factor * ratio[n]) for n in shapes)
        low, high = (factor, high) if total < density * sum(size.values()) else (low, factor)
    return {n: min(1.0, high * ratio[n]) for n in shapes}


@SIZES
def test_all_members_cost_the_same(profile):
    shapes, applied = network(beyond_family.member(profile, 1.0).model)
    cost = {n: math.prod(s) * applied[n] for n, s in shapes.items()}
    dense, first = sum(cost.values()), cost["conv1.weight"]
    random = (first + 0.1 * (dense - first)) / dense
    for exponent in FINE:
        densities = spread(shapes, beyond_family.member(profile, exponent).density, exponent)
        assert sum(cost[n] * d for n, d in densities.items()) / dense == pytest.approx(random, abs=1e-5)


@SIZES
def test_costs_are_those_of_the_masks_that_training_starts_with(profile):
    specs = beyond_family.family(profile, (-0.5, 1.5))
    table = beyond_family.costs(specs)
    for name, spec in specs.items():
        shapes, applied = network(spec.model)
        kept = prepare(spec, Execution(device="cpu")).sparsifier.active
        kept = {n: kept.get(n, math.prod(s)) for n, s in shapes.items()}
        dense = sum(math.prod(s) * applied[n] for n, s in shapes.items())
        assert table.loc[name, "active"] == sum(kept.values())
        assert table.loc[name, "density"] == pytest.approx(sum(kept.values()) / sum(map(math.prod, shapes.values())))
        assert table.loc[name, "test_flops"] == pytest.approx(sum(kept[n] * applied[n] for n in kept) / dense)
    # rounding to whole weights: less than one in every layer
    assert np.ptp(table["test_flops"]) < sum(applied.values()) / dense
    assert list(table.index) == ["Random", "exponent −0.5", "exponent 1.5"]


def test_costs_are_what_a_real_run_counted():
    spec = beyond_family.family(QUICK, ())["Random"]
    record = json.loads((paths.ROOT / "results" / f"{spec.run_id}.json").read_text())
    counted = beyond_family.costs({"Random": spec}).loc["Random"]
    assert counted["test_flops"] == pytest.approx(record["test_flops"], rel=1e-12)
    assert counted["train_flops"] == pytest.approx(record["train_flops"], rel=1e-12)


@SIZES
def test_the_ends_are_uniform_over_all_layers_and_erk(profile):
    flat, steep = beyond_family.member(profile, 0.0), beyond_family.member(profile, 1.0)
    shapes, _ = network(flat.model)
    assert set(erdos_renyi_kernel(shapes, flat.density, 0.0).values()) == {flat.density}
    table = beyond_family.layers(flat)
    assert list(table.index) == list(shapes)
    assert ((table["active"] - flat.density * table["weights"]).abs() < 1).all()
    erk = pd.Series(DISTRIBUTIONS["ERK"](shapes, steep.density))
    table = beyond_family.layers(steep)
    assert ((table["active"] - erk * table["weights"]).abs() < 1).all()
    assert (steep.initialisation, flat.initialisation) == ("ERK", "ERK^0")


@SIZES
def test_a_larger_exponent_moves_weights_to_the_largest_ratio(profile):
    shapes, _ = network(beyond_family.member(profile, 1.0).model)
    ratios = {n: sum(s) / math.prod(s) for n, s in shapes.items()}
    tables = [beyond_family.layers(beyond_family.member(profile, exponent))["density"] for exponent in FINE]
    largest, smallest = max(ratios, key=ratios.get), min(ratios, key=ratios.get)
    for before, after in itertools.pairwise(tables):
        assert after[largest] > before[largest] or before[largest] == after[largest] == 1
        assert after[smallest] < before[smallest]
    assert tables[0][largest] < 0.1 and tables[-1][largest] == 1


def test_family_figure_shows_every_layer_of_every_member():
    specs = beyond_family.family(QUICK)
    lines = beyond_family.layer_densities(specs).axes[0].get_lines()
    assert len(lines) == 1 + len(beyond_family.EXPONENTS)
    for line, spec in zip(lines, specs.values(), strict=True):
        assert list(line.get_ydata()) == list(beyond_family.layers(spec)["density"])
    assert len({(to_hex(line.get_color()), line.get_marker()) for line in lines}) == len(lines)
