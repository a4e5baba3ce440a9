"""What the report says of costs and counts: each fact computed again, and facts that are made false are found so."""

import math
from dataclasses import replace

import pytest
from records import made, tiny

from rigl_nb import flops, models
from rigl_nb.claims import arithmetic
from rigl_nb.claims.fact import DIFFERS, VERIFIED
from rigl_nb.data.sources import SOURCES
from rigl_nb.experiments import grids

NAMES = (
    "RigL's counts never change",
    "Random's cost is linear in density",
    "ERK costs more than Random at equal density",
    "SNFS costs much more than RigL",
    "printed costs follow from shapes",
)
# WRN-22-2, by hand: the first layer, then blocks of (channels in, out, side of the output)
BLOCKS = [(16, 32, 32), (32, 64, 16), (64, 128, 8)]


def cost_by_hand(width=1.0):
    """Multiplications of the first layer and of all layers of a Wide ResNet 22-2 on 32 × 32 images."""
    c = lambda channels: round(channels * width)  # noqa: E731
    first = total = 3 * c(16) * 9 * 32 * 32
    for c_in, c_out, side in BLOCKS:
        total += (c(c_in) * c(c_out) * 9 + 5 * c(c_out) ** 2 * 9 + c(c_in) * c(c_out)) * side**2
    return first, total + c(128) * 10


def by_name(records=()):
    return {fact.name: fact for fact in arithmetic.facts(records)}


def test_all_facts_have_a_quote_and_a_section():
    found = by_name()
    assert tuple(found) == NAMES and all(
        fact.quote and fact.section and fact.of >= fact.agree for fact in found.values()
    )


def test_random_is_linear_in_density():
    first, total = cost_by_hand()
    found = arithmetic._cost("cifar10", "Random", 0.1)
    assert found == pytest.approx((first + 0.1 * (total - first)) / total, abs=1e-3)
    fact = by_name()[NAMES[1]]
    assert (fact.agree, fact.of, fact.word) == (12, 12, VERIFIED)


def test_a_cost_that_is_not_linear_is_found(monkeypatch):
    right = arithmetic.inference
    bent = lambda network, data, init, density: right(network, data, init, density) + 0.01 * (density == 0.3)  # noqa: E731
    monkeypatch.setattr(arithmetic, "inference", bent)
    fact = by_name()[NAMES[1]]
    assert (fact.agree, fact.of, fact.word) == (10, 12, DIFFERS)


def test_erk_costs_more_and_a_cheaper_one_is_found(monkeypatch):
    assert (by_name()[NAMES[2]].agree, by_name()[NAMES[2]].of) == (12, 12)
    monkeypatch.setattr(arithmetic, "inference", lambda network, data, init, d: d + (init == "ERK") * (0.25 - d))
    fact = by_name()[NAMES[2]]
    assert (fact.agree, fact.word) == (6, DIFFERS), "0.25 is above the three lower of six densities"


def test_snfs_needs_dense_gradients_in_every_step(monkeypatch):
    """SNFS in every step, RigL only at updates; without dense gradients both cost the same."""
    fact = by_name()[NAMES[3]]
    assert (fact.agree, fact.of) == (8, 8)
    monkeypatch.setattr(arithmetic.flops, "train_fraction", lambda method, f: f)
    assert by_name()[NAMES[3]].agree == 0


def test_counts_that_change_are_found():
    still, other = made(tiny("RigL")), made(tiny("RigL", seed=1))
    moved = replace(other, active=(*other.active, {"epoch": 1, "counts": dict.fromkeys(other.active[0]["counts"], 1)}))
    twice = replace(still, active=still.active * 2)
    apart = made(tiny("SNFS"))
    fact = by_name([still, twice, replace(apart, active=moved.active)])[NAMES[0]]
    assert (fact.agree, fact.of, fact.word) == (2, 2, VERIFIED), "SNFS moves weights between layers"
    assert fact.how == "by our runs' counts" and by_name()[NAMES[1]].how == "by arithmetic"
    fact = by_name([still, moved])[NAMES[0]]
    assert (fact.agree, fact.of, fact.word) == (1, 2, DIFFERS)


def small_dense(data, network, classes, density):
    """Cost of the narrower network as a fraction of the whole, from FLOPs counted on each."""
    whole, narrow = (models.build(network, classes, width=width) for width in (1.0, math.sqrt(density)))
    return flops.inference_flops(narrow, SOURCES[data].example) / flops.inference_flops(whole, SOURCES[data].example)


def differing():
    """The printed cells whose costs do not follow: (data, method, initialization, density, which cost)."""
    found = []
    for name, data in {"table2_cifar10": "cifar10", "table3_cifar100": "cifar100"}.items():
        for row in grids.published(name).itertuples():
            cost = arithmetic._shapes(row.method, row.init, row.density, data)
            if cost is not None:
                found += [(data, row.method, row.density, "test")] * (abs(cost - row.test_flops) > 0.01)
                train = row.multiplier * arithmetic.flops.train_fraction(row.method, cost)
                wrong = abs(train - row.train_flops) > 0.01 * row.multiplier
                found += [(data, row.method, row.density, "train")] * wrong
    return found


def test_the_printed_costs_that_differ():
    fact = by_name()[NAMES[4]]
    cells = differing()
    assert fact.of - fact.agree == len(cells) == 4 and fact.word == DIFFERS
    assert {method for _, method, _, _ in cells} == {"Small-Dense"}
    for data, method, density, _ in cells:
        network, classes = {"cifar10": ("wrn-22-2", 10), "cifar100": ("resnet50", 100)}[data]
        name = {"cifar10": "table2_cifar10", "cifar100": "table3_cifar100"}[data]
        rows = grids.published(name)
        printed = rows[(rows["method"] == method) & (rows["density"] == density)]["test_flops"].item()
        assert abs(small_dense(data, network, classes, density) - printed) > arithmetic.TOLERANCE


def test_a_printed_cost_that_is_made_wrong_is_found(monkeypatch):
    right = grids.published

    def changed(name):
        frame = right(name)
        if name == "table2_cifar10":
            static = (frame["method"] == "Static") & (frame["init"] == "Random") & (frame["density"] == 0.1)
            frame.loc[static & (frame["multiplier"] == 1), "test_flops"] = 0.15
        return frame

    before = sum(arithmetic.printed_costs())
    monkeypatch.setattr(grids, "published", changed)
    assert sum(arithmetic.printed_costs()) == before - 1
