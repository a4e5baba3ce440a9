"""Random and ERK at equal FLOPs: costs by hand, the pairs of Figure 3, and which runs belong to them."""

import math
from dataclasses import replace

import pytest
from records import made, tiny

from rigl_nb.claims import judge, statements
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.model import Printed, Runs
from rigl_nb.experiments import equal_flops, grids
from rigl_nb.report.sections import accuracy_by_flops
from rigl_nb.runs.store import Store

PAPER, QUICK, SMOKE = (grids.PROFILES[name] for name in ("paper", "quick", "smoke"))
# WRN-10-1 on CIFAR-10, by hand: layer -> (c_out, c_in, k, positions of its output)
LAYERS = {
    "conv1": (16, 3, 3, 1024),
    "blocks.0.conv1": (16, 16, 3, 1024),
    "blocks.0.conv2": (16, 16, 3, 1024),
    "blocks.1.conv1": (32, 16, 3, 256),
    "blocks.1.conv2": (32, 32, 3, 256),
    "blocks.1.shortcut": (32, 16, 1, 256),
    "blocks.2.conv1": (64, 32, 3, 64),
    "blocks.2.conv2": (64, 64, 3, 64),
    "blocks.2.shortcut": (64, 32, 1, 64),
    "fc": (10, 64, 1, 1),
}
WEIGHTS = {name: c_out * c_in * k * k for name, (c_out, c_in, k, _) in LAYERS.items()}
COST = {name: 2 * WEIGHTS[name] * LAYERS[name][3] for name in LAYERS}


def erk(density):
    """Densities under ERK by hand: scale, make what overflows dense, scale again."""
    raw = {n: (a + b + (2 * k if n != "fc" else 0)) / WEIGHTS[n] for n, (a, b, k, _) in LAYERS.items()}
    full: set[str] = set()
    while True:
        budget = density * sum(WEIGHTS.values()) - sum(WEIGHTS[n] for n in full)
        scale = budget / sum(raw[n] * WEIGHTS[n] for n in LAYERS if n not in full)
        over = {n for n in LAYERS if n not in full and scale * raw[n] > 1}
        if not over:
            return {n: 1.0 if n in full else scale * raw[n] for n in LAYERS}
        full.add(max(over, key=raw.get))


# How far whole numbers may move a cost: less than one weight in every layer.
SLACK = sum(2 * positions for *_, positions in LAYERS.values()) / sum(COST.values())


@pytest.mark.parametrize("density", [0.05, 0.1, 0.5, 1.0])
def test_cost_of_random_by_hand(density):
    by_hand = COST["conv1"] + density * sum(cost for name, cost in COST.items() if name != "conv1")
    assert equal_flops.inference("wrn-10-1", "cifar10", "Random", density) == pytest.approx(
        by_hand / sum(COST.values()), abs=SLACK
    )


@pytest.mark.parametrize("density", [0.05, 0.1, 0.5, 1.0])
def test_cost_of_erk_by_hand(density):
    by_hand = sum(COST[name] * share for name, share in erk(density).items()) / sum(COST.values())
    assert equal_flops.inference("wrn-10-1", "cifar10", "ERK", density) == pytest.approx(by_hand, abs=SLACK)


def test_costs_count_whole_weights():
    cost = equal_flops.inference("wrn-10-1", "cifar10", "ERK", 0.0848671) * sum(COST.values())
    assert cost == pytest.approx(round(cost), abs=1e-3) and round(cost) % 2 == 0


@pytest.mark.parametrize("profile", [PAPER, QUICK, SMOKE], ids=lambda profile: profile.name)
def test_both_sides_of_a_pair_cost_the_same(profile):
    pairs = accuracy_by_flops.matched(profile)
    # whole weights: the tiny ResNet of the digits is the coarsest, and is off by a thousandth
    assert (abs(pairs["Random"] - pairs["ERK"]) / pairs["Random"]).max() < 0.002
    assert (pairs["density"] < pairs["budget"]).all()


def test_the_pairs_are_those_of_figure_3():
    assert [
        tuple(row) for row in accuracy_by_flops.matched(PAPER)[["report", "data", "budget"]].itertuples(index=False)
    ] == [(data, data, budget) for data in ("cifar10", "cifar100") for budget in (0.1, 0.2, 0.5)]
    assert list(accuracy_by_flops.matched(QUICK)["report"]) == ["cifar10", "cifar100"]
    smoke = accuracy_by_flops.matched(SMOKE)
    assert list(smoke["data"]) == ["digits", "digits"] and list(smoke["report"]) == ["cifar10", "cifar100"]


@pytest.mark.parametrize("name", grids.PROFILES)
def test_every_run_of_the_section_belongs_to_a_pair(name):
    specs = grids.specs("06_1", name)
    runs = Store("nowhere").frame(specs).assign(present=True, test_accuracy=90.0)
    found = accuracy_by_flops.measured(runs, accuracy_by_flops.matched(grids.PROFILES[name]))
    assert sorted(found["run_id"]) == sorted(spec.run_id for spec in specs)
    sides = found.groupby(["report", "budget"])["init"].value_counts().unstack()
    assert (sides["Random"] == sides["ERK"]).all()


def printed():
    return accuracy_by_flops.published(grids.published("figure3_flops"), grids.DATA, accuracy_by_flops.matched(PAPER))


def test_published_points_stand_at_their_densities_and_costs():
    rows = printed().set_index(["data", "init", "budget"])
    assert len(rows) == 12
    assert rows.loc[("cifar10", "Random", 0.2), "density"] == 0.2
    assert rows.loc[("cifar10", "ERK", 0.2), "density"] == grids.matched(PAPER, "cifar10", 0.2)
    f = rows.loc[("cifar10", "Random", 0.1), "Random"]
    assert rows.loc[("cifar10", "Random", 0.1), "train_flops"] == pytest.approx(f + (1 - f) / 303)
    assert rows.loc[("cifar100", "ERK", 0.5), "accuracy_mean"] == 74.18


def store(tmp_path, accuracy):
    """Save records of the quick profile's two runs, one for each init."""
    for spec in grids.specs("06_1", "quick"):
        Store(tmp_path).save(made(spec, test_accuracy=accuracy[spec.init]))
    return Store(tmp_path).frame(grids.specs("06_1", "quick"))


def test_comparison_pairs_and_subtracts(tmp_path):
    pairs = {"paper": accuracy_by_flops.matched(PAPER), "quick": accuracy_by_flops.matched(QUICK)}
    none = Store(tmp_path / "empty").frame(grids.specs("06_1", "paper"))
    evidence = {"paper": none, "quick": store(tmp_path, {"Random": 50.0, "ERK": 52.5})}
    table = accuracy_by_flops.comparison(printed(), evidence, pairs)
    assert list(table.index.get_level_values("source")).count("published") == 6
    assert "paper" not in table.index.get_level_values("source"), "no runs, no row"
    row = table.loc[("cifar10", 0.1, "quick")]
    assert row["difference", ""] == pytest.approx(-2.5)
    assert (row["n", "Random"], row["n", "ERK"]) == (3, 3)
    assert row["density", "ERK"] == grids.matched(QUICK, "cifar10", 0.1)
    assert row["std", "ERK"] == 0
    assert table.loc[("cifar10", 0.5, "published"), ("difference", "")] == pytest.approx(93.267 - 93.28)


def test_half_a_pair_has_no_difference(tmp_path):
    runs = store(tmp_path, {"Random": 50.0, "ERK": 52.5})
    runs["present"] &= runs["init"] == "ERK"
    table = accuracy_by_flops.comparison(printed(), {"quick": runs}, {"quick": accuracy_by_flops.matched(QUICK)})
    row = table.loc[("cifar10", 0.1, "quick")]
    assert math.isnan(row["difference", ""]) and math.isnan(row["n", "Random"]) and row["mean", "ERK"] == 52.5


def test_other_methods_and_lengths_are_no_evidence():
    runs = Store("nowhere").frame([tiny("Static", init="Random"), tiny(init="Random", multiplier=2)])
    runs = runs.assign(present=True, model="wrn-10-1", density=0.1)
    assert accuracy_by_flops.measured(runs, accuracy_by_flops.matched(SMOKE)).empty


def test_claims_compare_random_with_the_matched_erk():
    pairs = accuracy_by_flops.matched(PAPER)
    made_of = {(row.report, row.budget): row.density for row in pairs.itertuples()}
    first, second = statements.equal_flops(made_of)
    assert [claim.pairs[0][0].data for claim in (first, second)] == ["cifar10", "cifar100"]
    density = grids.matched(PAPER, "cifar10", 0.5)
    assert first.pairs[2] == (Cell("RigL", "Random", 0.5), Cell("RigL", "ERK", density))
    rows = printed()
    answer = judge.by_print(first, Printed(rows[rows["data"] == "cifar10"]))
    assert answer.estimate.value == pytest.approx((0.287 + 0.387 - 0.013) / 3) and answer.missing == ()


def test_every_cell_of_the_claims_has_runs_in_the_paper_profile():
    made_of = {(row.report, row.budget): row.density for row in accuracy_by_flops.matched(PAPER).itertuples()}
    sections = {"06_1": statements.equal_flops(made_of)}
    for section, data in (("05_1", "cifar10"), ("05_2", "cifar100")):
        sections[section] = [claim for claim in statements.EQUAL_COUNT if claim.pairs[0][0].data == data]
    for section, every in sections.items():
        frame = Store("nowhere").frame(grids.specs(section, "paper"))
        assert every and all(len(cell.rows(frame)) >= 3 for claim in every for cell in claim.cells)


def test_a_reversed_pair_contradicts_the_claim():
    pairs = accuracy_by_flops.matched(PAPER)
    claim = statements.equal_flops({(r.report, r.budget): r.density for r in pairs.itertuples()})[0]
    frame = Store("nowhere").frame(grids.specs("06_1", "paper", data="cifar10"))
    frame = frame.assign(present=True, collapsed=False)
    frame["test_accuracy"] = 90.0 + (frame["init"] == "ERK") + frame["seed"] * 0.1
    back = replace(claim, pairs=tuple(pair[::-1] for pair in claim.pairs))
    assert [judge.by_runs(one, Runs(frame), "paper").word for one in (claim, back)] == ["contradicted", "reproduced"]


def lines(axis):
    return [line for line in axis.get_lines() if len(line.get_xdata()) and line.get_linestyle() != "None"]


def test_figure_shows_every_printed_point_and_every_run(tmp_path):
    specs = grids.specs("06_1", "paper", data="cifar10")
    for spec in specs:
        Store(tmp_path).save(made(spec, test_accuracy=90.0 + spec.seed, train_flops=spec.density))
    runs = accuracy_by_flops.measured(Store(tmp_path).frame(specs), accuracy_by_flops.matched(PAPER))
    alone, both = (accuracy_by_flops.accuracy_by_flops(printed(), part) for part in (None, runs))
    assert [axis.get_title() for axis in both.axes] == ["CIFAR-10, WRN-22-2", "CIFAR-100, ResNet-50"]
    points = [value for line in lines(alone.axes[0]) for value in line.get_ydata()]
    shown = printed().query("data == 'cifar10'")["accuracy_mean"]
    assert set(shown) <= set(points)
    single = [line for line in both.axes[0].get_lines() if line.get_marker() in "oD" and line.get_markersize() == 4]
    assert sorted(value for line in single for value in line.get_ydata()) == sorted(runs["test_accuracy"])
    assert len(both.axes[1].get_lines()) == len(alone.axes[1].get_lines()), "nothing of a data set without runs"


def test_figure_does_not_depend_on_the_order_of_rows():
    rows = printed()
    first, second = (accuracy_by_flops.accuracy_by_flops(part) for part in (rows, rows.sample(frac=1, random_state=3)))
    for one, other in zip(first.axes, second.axes, strict=True):
        assert [list(a.get_ydata()) for a in lines(one)] == [list(b.get_ydata()) for b in lines(other)]
