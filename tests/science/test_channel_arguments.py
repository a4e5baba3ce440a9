"""What `Channel` is given: groups and costs of the wrong kind, layers that are not trained, widths of no multiple."""

import math

import numpy as np
import pytest
import torch
from test_channels import mlp, sparse
from test_hidden_groups import IMAGES, Between, tracing
from torch import nn

from rigl_nb import checks, models
from rigl_nb.deploy.groups import hidden_groups
from rigl_nb.distributions import whole
from rigl_nb.masking.channels import Channel, spread

PAIRS = (("0", "1"), ("1", "2"))


@pytest.mark.parametrize(
    ("share", "widths", "wanted"),
    [
        (1.0, (12, 12), (12, 12)),
        (0.85, (12, 12), (12, 8)),  # 20.4 channels
        (0.6, (12, 12), (8, 8)),  # 14.4: 8 + 4 would be no multiple, and 8 at least remain
        (0.8, (12, 40), (8, 32)),  # 41.6
        (0.95, (9, 24), (8, 24)),  # 31.35
        (0.1, (12, 20), (8, 8)),
    ],
)
def test_multiples_where_widths_are_none(share, widths, wanted):
    assert tuple(spread(share, dict(enumerate(widths)), 8).values()) == wanted


def test_a_density_of_one_keeps_all_channels():
    made = sparse(mlp(3, 12, 12, 2), 1.0, structure=Channel(groups=PAIRS, multiple=8))
    assert [int(mask[0].sum()) for mask in made.masks.values()] == [12, 12]


def test_multiples_of_widths_are_spread_by_largest_remainder():
    draw = np.random.default_rng(0)
    for multiple in (1, 1, 4, 8):
        for _ in range(300):
            channels = {i: multiple * int(n) for i, n in enumerate(draw.integers(1, 40, draw.integers(1, 12)))}
            share = float(draw.choice([draw.uniform(0.001, 1), 0.5, 0.25, 1.0]))
            counts = whole({name: share * count / multiple for name, count in channels.items()})
            old = {name: min(max(counts[name], 1) * multiple, count) for name, count in channels.items()}
            assert spread(share, channels, multiple) == old


@pytest.mark.parametrize(
    ("groups", "value"),
    [
        ([(0, 1, 3)], r"group \(0, 1, 3\)"),
        ([(nn.Linear(2, 2), "1")], r"group \(Linear\("),
        (None, "groups None"),
        (5, "groups 5"),
        ("01", "groups '01'"),
        ([5], "group 5"),
        ([None], "group None"),
        ([()], r"group \(\)"),
        (("0", "1"), "group '0'"),
    ],
)
def test_groups_of_another_kind_are_told(groups, value):
    with pytest.raises(ValueError, match=f"{value}.* is not allowed: groups is a list of tuples of names"):
        Channel(groups=groups)


@pytest.mark.parametrize("value", [0, math.nan, math.inf, -1.0, "3", None])
def test_costs_that_are_none_are_told(value):
    with pytest.raises(ValueError, match=r"cost .*is not allowed"):
        Channel(cost={"0.weight": value, "1.weight": value})


@pytest.mark.parametrize("cost", [5, "3", [1.0]])
def test_a_cost_maps(cost):
    with pytest.raises(ValueError, match="is not allowed: it maps weights by name to numbers"):
        Channel(cost=cost)


def test_a_generator_of_lists_is_read_once():
    kind = Channel(groups=(list(pair) for pair in PAIRS))
    assert kind.groups == PAIRS and len(sparse(mlp(2, 6, 4, 2), 0.5, structure=kind).masks) == 2


def test_a_layer_that_reads_itself():
    with pytest.raises(ValueError, match=r"group \('1', '1'\) is not allowed: '1' reads by a weight that computes"):
        sparse(mlp(4, 4, 4), 0.5, structure=Channel(groups=[("1", "1")]))


def test_a_given_group_is_trained_whole():
    words = r"group \('0', '1'\) is not allowed: layer '0' is excluded or frozen"
    for groups in (PAIRS, PAIRS[:1]):
        with pytest.raises(ValueError, match=words):
            sparse(mlp(2, 6, 4, 2), 0.5, structure=Channel(groups=groups), exclude=["0"])
    net = mlp(2, 6, 4, 2)
    net[0].weight.requires_grad_(False)
    with pytest.raises(ValueError, match=words):
        sparse(net, 0.5, structure=Channel(groups=PAIRS))


def test_declared_groups_of_which_none_is_left():
    excluded = [f"blocks.{block}.conv2" for block in range(3)]
    with pytest.raises(ValueError, match=r"no group is left: layer 'blocks\.0\.conv2' is excluded or frozen"):
        sparse(models.build("wrn-10-1", 5), 0.6, exclude=excluded)


def test_names_below_the_wrapper_of_a_compiled_model():
    with pytest.raises(ValueError, match=r"layer '0' is called '_orig_mod\.0' in OptimizedModule: give that name"):
        sparse(torch.compile(mlp(2, 6, 4, 2)), 0.5, structure=Channel(groups=PAIRS))


@pytest.mark.parametrize("value", [["channel"], {}, np.array(["channel", "x"]), None, 5])
def test_a_choice_of_another_kind_is_told(value):
    with pytest.raises(ValueError, match="is unknown: allowed are channel, kernel"):
        checks.choice("structure", value, ("channel", "kernel"))
    with pytest.raises(ValueError, match="is unknown: allowed are weight, kernel, channel"):
        sparse(mlp(2, 6, 2), 0.5, structure=value)


COUNTING = {
    "width": (lambda net, h: net.b(h / h.shape[1] ** 0.5), "'a' has an effect by the number of its channels"),
    "typed": (lambda net, h: net.b(h.view(len(h), 8, *h.shape[2:])), "'a' cannot have fewer channels: shape"),
}


@tracing
@pytest.mark.parametrize("kind", COUNTING)
def test_a_model_that_counts_its_channels(kind):
    """Its masks are right; what a compact model computes would be something else."""
    torch.manual_seed(0)
    between, words = COUNTING[kind]
    with pytest.raises(ValueError, match=words):
        hidden_groups(Between(between), IMAGES, writers=["a"])


class Reuse(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 8), nn.Linear(8, 4)

    def forward(self, x):
        return self.b(self.a(x)) @ self.b.weight


@tracing
def test_a_reader_whose_weight_is_used_twice():
    torch.manual_seed(0)
    with pytest.raises(ValueError, match="'a' has an effect by the number of its channels, or b by the shape"):
        hidden_groups(Reuse(), torch.randn(5, 3), writers=["a"])
