"""Pruning by global magnitude, when and how far; its tickets; and trainings from given masks, on hand-drawn layers."""

import itertools
import math
from fractions import Fraction

import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_masks import bits, row
from test_redistribution import Rows
from torch import nn

from rigl_nb.masks import global_magnitude
from rigl_nb.sparsifier import Sparsifier

NAN = math.nan


# ---- which: one exact selection over all layers


@pytest.mark.parametrize(
    ("keep", "first", "second"),
    [
        (0, "0000", "000"),
        (1, "0001", "000"),  # 5
        (2, "0001", "100"),  # and -4
        (3, "1001", "100"),  # of the 2s, the earlier layer and the lower index first
        (4, "1011", "100"),
        (5, "1011", "110"),
        (6, "1111", "110"),  # -1
        (7, "1111", "111"),  # 0
    ],
)
def test_the_largest_of_both_layers_by_hand(keep, first, second):
    weights = [row(2, -1, -2, 5), row(-4, 2, 0)]
    got = global_magnitude(weights, [bits("1111"), bits("111")], keep)
    assert [mask.tolist() for mask in got] == [bits(first).tolist(), bits(second).tolist()]


def test_what_is_inactive_stays_out_whatever_its_size():
    weights, masks = [row(9, 1, 0, NAN), row(NAN, 8, 0.5)], [bits("0110"), bits("101")]
    wanted = {1: ("0100", "000"), 2: ("0100", "001"), 3: ("0110", "001"), 4: ("0110", "101"), 7: ("0110", "101")}
    for keep, want in wanted.items():  # an active NaN is the first to go, before a 0
        got = global_magnitude(weights, masks, keep)
        assert [mask.tolist() for mask in got] == [bits(text).tolist() for text in want], keep


@given(st.lists(st.lists(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]), min_size=1), min_size=1, max_size=4), st.data())
def test_the_selection_agrees_with_a_stable_sort(rows, data):
    """Layers of any form, masks full of holes, many ties; the arguments stay as they are."""
    active = [data.draw(st.lists(st.booleans(), min_size=len(r), max_size=len(r))) for r in rows]
    keep = data.draw(st.integers(0, sum(map(sum, active))))
    weights, masks = [torch.tensor(r).view(-1, 1) for r in rows], [torch.tensor(a).view(-1, 1) for a in active]
    got = global_magnitude(weights, masks, keep)
    assert [mask.shape for mask in got] == [mask.shape for mask in masks]
    everything = zip(itertools.chain(*rows), itertools.chain(*active), strict=True)
    flat = [(-abs(value), place) for place, (value, bit) in enumerate(everything) if bit]
    want = {place for _, place in sorted(flat)[:keep]}
    assert {place for place, bit in enumerate(torch.cat(got).flatten().tolist()) if bit} == want
    assert [mask.flatten().tolist() for mask in masks] == active


# ---- when and how far


def pruned(steps, size=1000, density=0.1, **options):
    """Return the iterations of all updates with the count after each, of a row of weights that trains."""
    rows = Rows("Pruning", {"stem": [1.0], "a": list(range(1, size + 1))}, density=density, **options)
    nothing, counts = {"stem": [0.0], "a": [0.0] * size}, {}
    for t in range(steps):
        if rows.step(nothing):
            counts[t] = rows.sparse.counts()["a.weight"]
    return counts


@pytest.mark.parametrize(
    ("start", "t_end", "updates"),
    [
        (700, 1000, [799, 899, 999, 1099]),  # 699 is too early; 999 < T_end, so once more at 1099
        (699, 1000, [699, 799, 899, 999, 1099]),  # nothing is pruned at the start itself
        (700, 999, [799, 899, 999]),
        (799, 1099, [799, 899, 999, 1099]),
        (0, 101, [99, 199]),
        (0, 0, [99]),
        (1299, 1300, [1299, 1399]),
    ],
)
def test_when_and_how_far_pruning_goes(start, t_end, updates):
    """At t = 100 n - 1 from the start on; the last is the first of these from T_end on, with the final sparsity."""
    got = pruned(updates[-1] + 201, delta_t=100, prune_start=start, t_end=t_end)
    assert list(got) == updates
    for t, count in got.items():
        density = 1 - reference.pruning_sparsity(t, start, t_end, Fraction(9, 10))
        assert count == math.floor(1000 * density + Fraction(1, 2)), t
    assert got[updates[-1]] == 100


def test_the_schedule_by_hand():
    """s = 0.9 (1 - 0.67^3) = 0.629313 at 799, a third of the way: 371 of 1,000; then 134, 100.02..., and 100."""
    got = pruned(1100, delta_t=100, prune_start=700, t_end=1000)
    assert got == {799: 371, 899: 134, 999: 100, 1099: 100}


HALVES = [(4, 0.625, 3), (4, 0.6, 2), (5, 0.1, 1), (15, 0.1, 2), (7, 1, 7)]


@pytest.mark.parametrize(("size", "density", "kept"), HALVES)
def test_a_half_is_rounded_up(size, density, kept):
    """2.5 to 3, 2.4 to 2; 0.5 and 1.5 too, where 1 - (1 - 0.1) is a little less than 0.1."""
    assert pruned(size=size, density=density, steps=1, delta_t=1, t_end=0) == {0: kept}


def test_a_start_after_the_end_is_refused():
    """It would train on without a single update; a start at the end is one update at the first occasion."""
    with pytest.raises(ValueError, match="prune_start 5 is not allowed"):
        pruned(9, delta_t=2, prune_start=5, t_end=4)
    assert pruned(size=10, density=0.5, steps=9, delta_t=2, prune_start=4, t_end=4) == {5: 5}


def test_the_first_layer_stays_dense_and_is_no_part_of_the_budget():
    rows = Rows("Pruning", {"stem": [0.1, 0.2], "a": [3, 1], "b": [2, 4]}, density=0.5, t_end=0)
    assert rows.masks() == {"a": "11", "b": "11"}
    rows.step({"stem": [0, 0], "a": [0, 0], "b": [0, 0]})
    assert rows.masks() == {"a": "10", "b": "01"}
    assert rows.weights() == {"stem": pytest.approx([0.1, 0.2]), "a": [3, 0], "b": [0, 4]}


def test_pruned_weights_stay_pruned():
    """Whatever their gradients; the next update takes others. The kept 1 becomes the largest in between."""
    rows = Rows("Pruning", {"stem": [0], "a": [8, 7, 1, 1, 1, 6, 5, 9]}, density=0.5, delta_t=2, t_end=4)
    grads = {"stem": [0], "a": [0, 0, -100, -100, -100, 0, 4, 0]}
    assert not rows.step({"stem": [0], "a": [0] * 8}) and rows.masks() == {"a": "11111111"}
    assert rows.step(grads, momentum_buffer={"stem": [0], "a": [1, 2, 3, 4, 5, 6, 7, 8]})
    assert rows.masks() == {"a": "11100111"}  # s = 0.5 (1 - 0.75^3) leaves 5.69: 6; of three equal ones the first
    assert rows.weights()["a"] == [8, 7, 1, 0, 0, 6, 5, 9]
    assert rows.buffers()["a"] == [1, 2, 3, 0, 0, 6, 7, 8]
    assert rows.grads()["a"] == [0, 0, -100, 0, 0, 0, 4, 0]
    assert not rows.step(grads)
    assert rows.weights()["a"] == [7.5, 6, 99.5, 0, 0, 3, -2.5, 5]  # less half of the momentum and the gradient
    assert rows.step(grads) and rows.masks() == {"a": "11100001"}  # 0.5 (1 - 0.25^3) leaves 4.06: 4
    assert not rows.step(grads)
    assert rows.step(grads) and rows.masks() == {"a": "11100001"}  # half of 8, for the last time
    assert not any(rows.step(grads) for _ in range(4))


def test_an_active_zero_does_not_tie_with_a_pruned_weight():
    """Two updates leave 3 of 4 weights: the second must not trade the active 0 for the pruned one before it."""
    rows = Rows("Pruning", {"stem": [0], "a": [1, 5, 6, 7]}, density=0.75, t_end=2)
    seen = []
    for weights in ([1.0, 5, 6, 7], [1.0, 5, 6, 7], [0.0, 0, 6, 7]):
        rows.layers["a"].data = torch.tensor([weights])
        assert rows.step({"stem": [0], "a": [0] * 4})
        seen.append(rows.masks()["a"])
    assert seen == ["1111", "0111", "0111"]


# ---- given masks: a Lottery ticket, and any method that starts from another run's

GIVEN = {"a": "0110", "b": "100001"}
INITIAL = {"a": [1, 2, 3, 4], "b": [5, 6, 7, 8, 9, 10]}


def test_a_ticket_is_the_mask_on_the_first_weights_and_stays():
    rows, grads = Rows("Lottery", INITIAL, GIVEN, density=0.01), {"a": [1, 1, 1, 1], "b": [2, 2, 2, 2, 2, 2]}
    assert rows.weights() == {"a": [0, 2, 3, 0], "b": [5, 0, 0, 0, 0, 10]}
    assert not any(rows.step(grads) for _ in range(2))
    assert rows.masks() == GIVEN
    assert rows.weights() == {"a": [0, -0.5, 0.5, 0], "b": [0, 0, 0, 0, 0, 5]}  # less g, and then 1.5 g
    assert rows.sparse.counts() == {"a.weight": 2, "b.weight": 2}


def test_rigl_goes_on_from_given_masks():
    rows = Rows("RigL", INITIAL, GIVEN, alpha=0.5)
    assert rows.weights() == {"a": [0, 2, 3, 0], "b": [5, 0, 0, 0, 0, 10]}
    rows.step({"a": [0, 0, 0, 9], "b": [0, 0, -3, 2, 0, 0]})
    assert rows.masks() == {"a": "0011", "b": "001001"}
    assert rows.weights() == {"a": [0, 0, 3, 0], "b": [0, 0, 0, 0, 0, 10]}


@pytest.mark.parametrize("method", ["RigL", "SET", "SNFS", "RigL-SG", "Lottery"])
def test_given_masks_are_copied(method):
    """Two trainings may start from the masks of one."""
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
    masks = {"0.weight": torch.rand(5, 6) < 0.5, "1.weight": torch.rand(4, 5) < 0.5}
    before = {name: mask.clone() for name, mask in masks.items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sparse = Sparsifier(model, optimizer, method, masks, alpha=0.9, delta_t=2, t_end=100)
    for _ in range(4):
        model(torch.rand(3, 6)).square().sum().backward()
        sparse.step()
    assert all(torch.equal(mask, before[name]) for name, mask in masks.items())
    assert all(torch.equal(mask, before[name]) for name, mask in sparse.masks.items()) is (method == "Lottery")


def test_only_layers_with_a_mask_are_masked():
    """As a Pruning run leaves it: no mask for its first layer, and masks in any order."""
    rows = Rows("Lottery", {"stem": [1, 2], "a": [3, 4], "b": [5, 6]}, {"b": "10", "a": "01"})
    assert rows.masks() == {"a": "01", "b": "10"} and list(rows.masks()) == ["a", "b"]
    assert rows.weights() == {"stem": [1, 2], "a": [0, 4], "b": [5, 0]}


@pytest.mark.parametrize(
    ("method", "masks", "named"),
    [
        ("Lottery", None, "Lottery starts from masks"),
        ("Lottery", {"a": "011", "b": "100001"}, r"'a\.weight' fits no layer: the layers are a\.weight, b\.weight"),
        ("RigL", {"a": "0110", "c": "1"}, r"'c\.weight' fits no layer"),
    ],
)
def test_masks_that_do_not_fit_are_named(method, masks, named):
    with pytest.raises(ValueError, match=named):
        Rows(method, INITIAL, masks)


@pytest.mark.parametrize(
    ("masks", "named"), [({}, "no mask"), ({"a.weight": torch.ones(1, 4)}, r"'a\.weight' fits no layer.*boolean")]
)
def test_no_masks_and_masks_of_numbers_are_named(masks, named):
    model = nn.ModuleDict({"a": nn.Linear(4, 1, bias=False)})
    with pytest.raises(ValueError, match=named):
        Sparsifier(model, torch.optim.SGD(model.parameters(), lr=1.0), "Lottery", masks)


@pytest.mark.parametrize("options", [{"density": 0}, {"density": 1.5}, {"prune_start": -1}, {"prune_start": 0.5}])
def test_bad_arguments_of_pruning_are_named(options):
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"{name} {value}"):
        Rows("Pruning", INITIAL, **options)
