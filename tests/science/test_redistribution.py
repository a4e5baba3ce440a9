"""SNFS, RigL-SG and RigL-SM: how the dropped total is shared out, and which statistic decides, on hand-drawn layers."""

import math

import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rigl_nb.masks import redistribute
from rigl_nb.sparsifier import Sparsifier

INF, NAN = math.inf, math.nan
SHARED = ["SNFS", "RigL-SG", "RigL-SM"]


class Rows:
    """Layers of one row each: weights, masks, gradients and momenta are written down, and so is what they become."""

    def __init__(self, method, weights, masks=None, optimizer="sgd", **options):
        self.model = nn.ModuleDict({name: nn.Linear(len(row), 1, bias=False) for name, row in weights.items()})
        self.layers = {name: self.model[name].weight for name in weights}
        for name, row in weights.items():
            self.layers[name].data = torch.tensor([row], dtype=torch.float32)
        options = {"delta_t": 1, "t_end": 10**9} | options
        factory = {
            "sgd": lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.5),
            "adam": lambda p: torch.optim.Adam(p, lr=0.1),
        }
        self.optimizer = factory[optimizer](self.model.parameters())
        if masks is not None:
            masks = {f"{name}.weight": torch.tensor([[bit == "1" for bit in row]]) for name, row in masks.items()}
        self.sparse = Sparsifier(self.model, self.optimizer, method, masks, **options)

    def step(self, grads, **state):
        """Set gradients and, by its name, what the optimizer holds; then take a step."""
        for name, weight in self.layers.items():
            weight.grad = torch.tensor([grads[name]], dtype=torch.float32)
            for key, rows in state.items():
                self.optimizer.state[weight][key] = torch.tensor([rows[name]], dtype=torch.float32)
        return self.sparse.step()

    def masks(self):
        masks = {name.removesuffix(".weight"): mask for name, mask in self.sparse.masks.items()}
        return {name: "".join("01"[bit] for bit in mask[0].tolist()) for name, mask in masks.items()}

    def weights(self):
        return {name: weight.detach()[0].tolist() for name, weight in self.layers.items()}

    def grads(self):
        return {name: weight.grad[0].tolist() for name, weight in self.layers.items()}

    def buffers(self, key="momentum_buffer"):
        return {name: self.optimizer.state[weight][key][0].tolist() for name, weight in self.layers.items()}


# ---- sharing out


@pytest.mark.parametrize(
    ("dropped", "statistics", "room", "grown"),
    [
        ([4, 4], [3, 1], [9, 9], [6, 2]),  # in proportion
        ([1, 1, 1], [5, 5, 4], [9, 9, 9], [1, 1, 1]),  # 1.07, 1.07, 0.86: the largest remainder gets the third
        ([2, 0, 1], [1, 1, 0], [9, 9, 9], [2, 1, 0]),  # 1.5 and 1.5: the earlier; a statistic of 0 gets none
        ([6, 2, 2], [8, 1, 1], [6, 9, 9], [6, 2, 2]),  # 8 do not fit in 6: 2 more for the others
        ([5, 5, 0], [6, 3, 1], [5, 3, 20], [5, 3, 2]),  # 6 do not fit in 5, and then 3.75 not in 3
        ([0, 5, 5], [1, 3, 6], [20, 3, 5], [2, 3, 5]),
        ([2, 3, 1], [7, 0, 0], [3, 5, 5], [3, 2, 1]),  # no room where the statistic is: 3 left, 3 to 1 as dropped
        ([1, 0, 4], [0, 0, 0], [2, 9, 9], [1, 0, 4]),  # no statistic: each its own
        ([0, 0], [2, 1], [4, 4], [0, 0]),
        ([3, 4], [1, 9], [3, 4], [3, 4]),  # all room is needed
        ([3, 3], [1e-30, 3e30], [9, 9], [0, 6]),
        ([1, 0], [0.3, 0.1 + 0.2], [9, 9], [1, 0]),  # the last bit of a float does not decide a tie
        ([], [], [], []),
    ],
)
def test_shares_by_hand(dropped, statistics, room, grown):
    assert redistribute(dropped, statistics, room) == grown


@st.composite
def budgets(draw, statistic):
    """Draw (dropped, statistics, room) of up to six layers: sizes, active weights of them, dropped ones of these."""
    layers = []
    for _ in range(draw(st.integers(1, 6))):
        size = draw(st.integers(0, 40))
        active = draw(st.integers(0, size))
        dropped = draw(st.integers(0, active))
        layers.append((dropped, draw(statistic), size - active + dropped))
    return tuple(list(column) for column in zip(*layers, strict=True))


FEW = st.sampled_from([0, 0.5, 1, 1, 2, 3.25, 16])


@given(budgets(FEW))
def test_shares_agree_with_fractions(case):
    assert redistribute(*case) == reference.redistribute(*case)


@given(budgets(st.one_of(FEW, st.floats(0, 2.0**127, width=32))))
def test_no_statistic_changes_the_total_or_overfills(case):
    """Every number that a float32 gradient may have, and all of them together."""
    dropped, _, room = case
    grown = redistribute(*case)
    assert sum(grown) == sum(dropped)
    assert all(type(count) is int and 0 <= count <= space for count, space in zip(grown, room, strict=True))


@given(budgets(FEW))
def test_shares_are_in_proportion_and_in_order(case):
    """Where nothing overflows each is within 1 of its quota; more for a larger statistic, unless there is no room."""
    dropped, statistics, room = case
    grown, total = redistribute(*case), sum(statistics)
    quotas = [sum(dropped) * value / total if total else own for value, own in zip(statistics, dropped, strict=True)]
    if all(quota <= space for quota, space in zip(quotas, room, strict=True)):
        assert all(abs(count - quota) < 1 for count, quota in zip(grown, quotas, strict=True))
    for i, larger in enumerate(statistics):
        for j, smaller in enumerate(statistics):
            assert larger <= smaller or grown[i] >= grown[j] or grown[i] == room[i]


@given(budgets(st.just(0)))
def test_without_any_statistic_every_layer_gets_its_own_back(case):
    assert redistribute(*case) == case[0]


# ---- one update by hand: a drops its 1, b its 3 and 2; two active weights of a count twice those of b, or half

WEIGHTS = {"a": [3, 1, 2, 0], "b": [5, 4, 3, 2, 0, 0]}
MASKS = {"a": "1110", "b": "111100"}
MOMENTUM = {"a": [1, -4, 1, 9], "b": [1, -1, 1, 1, -7, 8]}  # |active|: mean 2 and 1; the others say nothing
SPARSE = {"a": [1, -4, 1, 0], "b": [1, -1, 1, 1, 0, 0]}
GRADS = {"a": [1, 0, 2, -5], "b": [2, 2, -3, 1, 9, -4]}  # |active|: mean 1 and 2


def test_snfs_by_hand():
    """a grows 2, its dropped one again, b grows 1; a grown weight is 0 and has its momentum, as has a dropped one."""
    rows = Rows("SNFS", WEIGHTS, MASKS, alpha=0.5)
    assert rows.step(GRADS, momentum_buffer=MOMENTUM)
    assert rows.masks() == {"a": "1111", "b": "110001"}
    assert rows.weights() == {"a": [3, 1, 2, 0], "b": [5, 4, 0, 0, 0, 0]}
    assert rows.buffers() == MOMENTUM
    assert rows.grads() == {"a": [1, 0, 2, -5], "b": [2, 2, 0, 0, 0, -4]}
    assert rows.sparse.counts() == {"a.weight": 4, "b.weight": 3}


def test_snfs_descends_on_dense_gradients():
    """Half of the old momentum and the whole gradient everywhere; inactive weights and gradients are 0 all the same."""
    rows = Rows("SNFS", WEIGHTS, MASKS, delta_t=2)
    assert not rows.step(GRADS, momentum_buffer=MOMENTUM)
    assert rows.buffers() == {"a": [1.5, -2, 2.5, -0.5], "b": [2.5, 1.5, -2.5, 1.5, 5.5, 0]}
    assert rows.weights() == {"a": [1.5, 3, -0.5, 0], "b": [2.5, 2.5, 5.5, 0.5, 0, 0]}
    assert rows.grads() == {"a": [1, 0, 2, 0], "b": [2, 2, -3, 1, 0, 0]}


def test_rigl_sm_shares_by_momentum_and_grows_by_gradient():
    rows = Rows("RigL-SM", WEIGHTS, MASKS, alpha=0.5)
    rows.step(GRADS, momentum_buffer=SPARSE)
    assert rows.masks() == {"a": "1111", "b": "110010"}
    assert rows.weights() == {"a": [3, 1, 2, 0], "b": [5, 4, 0, 0, 0, 0]}
    assert rows.buffers() == {"a": [1, -4, 1, 0], "b": [1, -1, 0, 0, 0, 0]}


def test_rigl_sg_shares_by_gradient_and_grows_by_gradient():
    rows = Rows("RigL-SG", WEIGHTS, MASKS, alpha=0.5)
    rows.step(GRADS, momentum_buffer=SPARSE)
    assert rows.masks() == {"a": "1011", "b": "110011"}
    assert rows.weights() == {"a": [3, 0, 2, 0], "b": [5, 4, 0, 0, 0, 0]}
    assert rows.buffers() == {"a": [1, 0, 1, 0], "b": [1, -1, 0, 0, 0, 0]}


@pytest.mark.parametrize("method", SHARED)
def test_a_dense_layer_takes_part_and_may_lose_weights(method):
    """a drops 2 of 4 and b 1 of 2; by 1 to 2 the three go to b, which has 5 places, twice: a is no longer dense."""
    rows = Rows(method, {"a": [4, 1, 2, 3], "b": [2, 1, 0, 0, 0, 0]}, {"a": "1111", "b": "110000"}, alpha=0.5)
    values = {"a": [1, 1, 1.5, 0.5], "b": [2, 2, 0, 5, 0, 0]}
    rows.step(values, momentum_buffer=values)
    assert rows.masks() == {"a": "1011", "b": "110100"}
    assert rows.weights() == {"a": [4, 0, 2, 3], "b": [2, 1, 0, 0, 0, 0]}


@pytest.mark.parametrize("method", ["SNFS", "RigL-SM"])
def test_adams_momentum_is_m_over_the_root_of_v(method):
    """a has the larger m, b the larger ratio, on average 2 to 1: of the three, a grows 1 and b 2."""
    rows = Rows(method, WEIGHTS, MASKS, "adam", alpha=0.5)
    first = {"a": [8, -8, 8, 0], "b": [2, -2, 2, 2, 0, 4]}
    second = {"a": [64, 64, 64, 1], "b": [1, 1, 1, 1, 1, 1]}
    rows.step(GRADS, exp_avg=first, exp_avg_sq=second)
    by_momentum, by_gradient = {"a": "1110", "b": "111001"}, {"a": "1011", "b": "110011"}
    assert rows.masks() == (by_momentum if method == "SNFS" else by_gradient)


@pytest.mark.parametrize("method", SHARED)
def test_before_any_momentum_or_gradient_every_layer_gets_its_own_back(method):
    rows, nothing = Rows(method, WEIGHTS, MASKS, alpha=0.5), {"a": [0] * 4, "b": [0] * 6}
    assert rows.step(nothing)
    assert rows.sparse.counts() == {"a.weight": 3, "b.weight": 4}


@pytest.mark.parametrize(
    ("a", "b", "counts"),
    [
        ([NAN, 1, 1, 1], [NAN, 1, 1, 1, 1, 1], (3, 4)),
        ([NAN, 1, 1, 1], [1, 1, 1, 1, 1, 1], (2, 5)),
        ([1, 1, 1, 1], [1, 1, NAN, 1, 1, 1], (4, 3)),
        ([2, 2, 2, NAN], [1, 1, 1, 1, NAN, NAN], (4, 3)),
    ],
)
@pytest.mark.parametrize("method", SHARED)
def test_a_statistic_that_is_no_number_is_0(method, a, b, counts):
    """One NaN at an active weight: the layer gets only what the other has no room for. At an inactive one: nothing."""
    rows = Rows(method, WEIGHTS, MASKS, alpha=0.5)
    values = {"a": a, "b": b}
    rows.step(values, momentum_buffer=values)
    assert tuple(rows.sparse.counts().values()) == counts
    assert [mask.count("1") for mask in rows.masks().values()] == list(counts)


@pytest.mark.parametrize("masks", [MASKS, {"a": "1000", "b": "010000"}])
@pytest.mark.parametrize("method", SHARED)
def test_an_infinite_statistic_keeps_the_total(method, masks):
    """A run that diverges goes on to its end, also where a layer has a single weight."""
    rows, values = Rows(method, WEIGHTS, masks, alpha=1.0), {"a": [INF] * 4, "b": [-INF] * 6}
    rows.step(values, momentum_buffer=values)
    assert sum(rows.sparse.counts().values()) == sum(mask.count("1") for mask in masks.values())


@pytest.mark.parametrize("method", ["SNFS", "RigL-SM"])
def test_a_method_that_ranks_by_momentum_needs_some(method):
    model = nn.Linear(4, 4)
    with pytest.raises(ValueError, match=f"{method} ranks by momentum"):
        Sparsifier(model, torch.optim.SGD(model.parameters(), lr=0.1), method, "ERK", 0.5, t_end=10)


def test_an_empty_layer_has_statistic_0():
    rows = Rows("RigL-SG", WEIGHTS, {"a": "0000", "b": "111100"}, alpha=0.5)
    rows.step({"a": [9, 9, 9, 9], "b": [1] * 6})
    assert rows.masks() == {"a": "0000", "b": "111100"}
