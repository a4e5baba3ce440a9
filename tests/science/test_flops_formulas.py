"""Costs of training: the formulas against ones written out by hand, real runs against a count from their masks."""

from dataclasses import replace

import pytest
from driving import drive, tiny
from hypothesis import given
from hypothesis import strategies as st
from torch import nn, optim

from rigl_nb import flops
from rigl_nb.experiments.grids import PROFILES, Row
from rigl_nb.iteration import Legacy
from rigl_nb.methods import BUILT_IN
from rigl_nb.sparsifier import Sparsifier

RIGL = ("RigL", "RigL-SG", "RigL-SM")


# ---- closed formulas

BY_HAND = {  # the sum of an iteration's three products over the dense one's three; f = 0.2, its mean over time 0.3
    "Dense": 3 / 3,
    "Small-Dense": 0.6 / 3,
    "Static": 0.6 / 3,
    "SET": 0.6 / 3,
    "RigL": (100 * 0.6 + 0.2 + 0.2 + 1) / (101 * 3),  # of 101 iterations one has dense weight gradients
    "RigL-SG": (100 * 0.9 + 0.3 + 0.3 + 1) / (101 * 3),
    "RigL-SM": (100 * 0.9 + 0.3 + 0.3 + 1) / (101 * 3),
    "SNFS": (0.3 + 0.3 + 1) / 3,
    "Pruning": 0.9 / 3,
    "Lottery": 0.9 / 3 + 0.6 / 3,
}
MOVING = ("RigL-SG", "RigL-SM", "SNFS", "Pruning", "Lottery")


@pytest.mark.parametrize("method", sorted(BUILT_IN))
def test_every_method_has_its_formula(method):
    f, mean = 1.0 if method == "Dense" else 0.2, 0.3 if method in MOVING else None
    assert flops.train_fraction(method, f, mean_fraction=mean) == pytest.approx(BY_HAND[method], rel=1e-12)


@pytest.mark.parametrize(("method", "want"), [("RigL-SG", 61.4 / 303), ("RigL-SM", 61.4 / 303), ("SNFS", 1.4 / 3)])
def test_f_stands_for_its_mean_where_that_is_not_known(method, want):
    assert flops.train_fraction(method, 0.2) == pytest.approx(want, rel=1e-12)


@given(st.floats(0, 1), st.integers(1, 1000))
def test_a_formula_is_the_mean_of_its_iterations(f, delta_t):
    """RigL: one iteration in ΔT + 1 has dense gradients; SNFS: every one; SET: none."""
    sparse, dense = flops.step_fraction(f, dense_gradients=False), flops.step_fraction(f, dense_gradients=True)
    assert sparse == f and dense == pytest.approx((f + f + 1) / 3, abs=1e-15)
    rigl = flops.train_fraction("RigL", f, delta_t)
    assert rigl == pytest.approx((delta_t * sparse + dense) / (delta_t + 1), abs=1e-12)
    assert flops.train_fraction("SNFS", f) == pytest.approx(dense, abs=1e-15)
    assert flops.train_fraction("SET", f) == f <= rigl + 1e-15 <= dense + 2e-15


@pytest.mark.parametrize("method", sorted(BUILT_IN - {"Lottery"}))
def test_nothing_is_saved_at_density_1(method):
    assert flops.train_fraction(method, 1.0, mean_fraction=1.0) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("delta_t", [10, 50, 1000])
def test_rarer_updates_cost_less(delta_t):
    assert flops.train_fraction("RigL", 0.1, delta_t) == pytest.approx(0.1 + 0.9 / 3 / (delta_t + 1), rel=1e-12)


def test_a_formula_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match="'Snip'"):
        flops.train_fraction("Snip", 0.1)


@pytest.mark.parametrize("method", ["Pruning", "Lottery"])
def test_a_cost_that_depends_on_the_path_needs_its_mean(method):
    with pytest.raises(ValueError, match=f"mean_fraction is missing: the cost of {method}"):
        flops.train_fraction(method, 0.1)


# ---- the report's length

STEPS = 88_000


@pytest.mark.parametrize(
    ("row", "first", "last", "updates"),
    [
        (Row("RigL", "Random", 0.1), 99, 65_999, 660),
        (Row("SET", "ERK", 0.2), 99, 65_999, 660),
        (Row("RigL", "Random", 0.1, 2), 99, 131_999, 1_320),
        (Row("Pruning", None, 0.1), 799, 66_099, 654),
        (Row("Static", "Random", 0.1), None, None, 0),
    ],
)
def test_updates_of_the_reports_trainings(row, first, last, updates):
    """A sparsifier with the run's settings says when; the network does not matter."""
    spec = PROFILES["paper"].spec(row, seed=0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    given = {name: getattr(spec, name) for name in ("alpha", "delta_t", "prune_start") if getattr(spec, name)}
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    sparsifier = Sparsifier(model, optimizer, row.method, row.init, row.density, t_end=spec.t_end, **given)
    due = []
    for t in range(spec.total_steps):
        sparsifier.iteration = t
        due += [t] if sparsifier.update_due else []
    assert spec.total_steps == STEPS * row.multiplier
    assert (due[:1], due[-1:], len(due)) == ([first] * (updates > 0), [last] * (updates > 0), updates)


def test_rigl_random_at_a_tenth():
    """0.1048 with 660 updates in 88,000 iterations, 0.1055 by the formula, which has 871 of them."""
    first = 2 * (16 * 3 * 3 * 3) * 32 * 32 / 315_460_096  # the dense first layer; all others at 0.1
    f = first + 0.1 * (1 - first)
    steps = [flops.step_fraction(f, dense_gradients=dense) for dense in (True, False)]
    exact = (660 * steps[0] + (STEPS - 660) * steps[1]) / STEPS
    assert round(exact, 4) == 0.1048 and exact == pytest.approx(f + 660 / STEPS * (1 - f) / 3, rel=1e-12)
    assert round(flops.train_fraction("RigL", f), 4) == 0.1055


# ---- real runs, 22 iterations each, counted again from the masks of every iteration

PLACES = {"conv1.": 64, "blocks.0.": 64, "blocks.1.": 16, "blocks.2.": 4, "fc.": 1}  # of a layer's output, 8×8 image
DENSE = 2 * (
    64 * 9 * (1 * 16 + 2 * 16 * 16)
    + 16 * (9 * (16 * 32 + 32 * 32) + 16 * 32)
    + 4 * (9 * (32 * 64 + 64 * 64) + 32 * 64)
    + 64 * 10
)


def prediction(state) -> float:
    """Count 2·MAC of one image from a snapshot, as a fraction of the dense network's."""
    masks, total = state["sparsifier"]["masks"], 0
    for name, weight in state["model"].items():
        if weight.ndim > 1:
            active = int(masks[name].sum()) if name in masks else weight.numel()
            total += 2 * active * next(places for start, places in PLACES.items() if name.startswith(start))
    return total / DENSE


def watched(spec, parent=None):
    """Train; return the result and f during every iteration. No mask moves in the first one."""
    after = []
    result, _ = drive(spec, parent=parent, look=lambda progress: after.append(prediction(progress.snapshot())))
    return result, [after[0], *after[:-1]], after[-1]


def by_products(spec, during) -> float:
    """Add up the three products of every iteration; the weights' gradients are dense where the method needs them."""
    spent = 0.0
    for t, f in enumerate(during):
        update = t % 4 == 3 and t < 3 * len(during) // 4
        dense = spec.method == "SNFS" or (spec.method in RIGL and update)
        spent += f + f + (1 if dense else f)
    return spent / (3 * len(during)) * spec.multiplier


CASES = [
    *(("Random", 1, name) for name in ("Static", "SET", *RIGL, "SNFS")),
    *(("ERK", 1, name) for name in ("RigL-SM", "SNFS")),
    *((None, 1, name) for name in ("Dense", "Small-Dense", "Pruning")),
    *(("ERK", 2, name) for name in ("RigL", "RigL-SG", "SNFS")),
]


@pytest.mark.parametrize(("init", "multiplier", "method"), CASES)
def test_a_trainings_cost_is_the_mean_over_its_iterations(method, init, multiplier):
    spec = tiny(method, multiplier=multiplier, init=init)
    result, during, final = watched(spec)
    assert len(during) == 22 * multiplier and result.dense_flops == DENSE
    assert result.test_flops == pytest.approx(final, rel=1e-12)
    assert result.train_flops == pytest.approx(by_products(spec, during), rel=1e-12)
    assert (len(set(during)) > 1) is (method in MOVING)


def test_a_lottery_ticket_pays_for_its_pruning_too():
    spec = tiny("Lottery")
    pruned, path, final = watched(spec.parent)
    ticket, during, _ = watched(spec, parent=Legacy(pruned.masks, pruned.train_flops))
    assert during == [final] * 22 and final < path[0] == 1
    assert ticket.test_flops == pytest.approx(final, rel=1e-12)
    assert ticket.train_flops == pytest.approx(sum(path) / 22 + final, rel=1e-12)


def test_a_run_from_anothers_mask_costs_what_that_mask_costs():
    """Table 5, last group: RigL on the final masks of RigL-SM. The training that found them is not counted."""
    source = tiny("RigL-SM", init="Random")
    found, _, final = watched(source)
    spec = replace(tiny("RigL"), init="Mask", parent=source)
    result, during, _ = watched(spec, parent=Legacy(found.masks, found.train_flops))
    assert during == [final] * 22
    assert result.test_flops == pytest.approx(found.test_flops, rel=1e-12)
    assert result.train_flops == pytest.approx(final + 4 / 22 * (1 - final) / 3, rel=1e-12)
