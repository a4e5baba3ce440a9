"""The claims of section 5.2: their cells and printed differences, read from the file, and runs with known answers."""

import csv
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from frames import runs

from rigl_nb.claims import judge, statements
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.model import Printed, Runs
from rigl_nb.claims.printed import table3
from rigl_nb.claims.statements import cifar
from rigl_nb.experiments import grids
from rigl_nb.report.figures import tables

CLAIMS = statements.CIFAR100
by_name = pytest.mark.parametrize("claim", CLAIMS, ids=[claim.name for claim in CLAIMS])


def table_3():
    """Printed means by cell, and the cells of each group."""
    means, groups = {}, defaultdict(set)
    with open(grids.PUBLISHED / "table3_cifar100.csv") as file:
        for row in csv.DictReader(file):
            cell = Cell(
                row["method"], row["init"] or None, float(row["density"]), int(row["multiplier"]), data="cifar100"
            )
            means[cell] = float(row["accuracy_mean"])
            groups[row["group"]].add(cell)
    return means, groups


def by_print(claim):
    return judge.by_print(claim, Printed(table3()))


def by_runs(claim, frame):
    return judge.by_runs(claim, Runs(frame), "paper")


@by_name
def test_printed_difference_as_a_reader_computes_it(claim):
    means, _ = table_3()
    pairs = [pair for pair in claim.pairs if set(pair) <= set(means)]
    verdict = by_print(claim)
    assert set(verdict.missing) == {cell for pair in claim.pairs for cell in pair} - set(means)
    if pairs:
        assert verdict.estimate.value == pytest.approx(np.mean([means[left] - means[right] for left, right in pairs]))
    else:
        assert verdict.word == "not printed"


def test_printed_differences_by_hand():
    found = {claim.name: by_print(claim).estimate.value for claim in CLAIMS}
    assert found["CIFAR-100: RigL over SET"] == pytest.approx((0.4 + 0.1 + 0.3 - 0.1) / 4)
    assert found["RigL 3× over Pruning at 0.1"] == pytest.approx(73.7 - 73.1)
    assert found["RigL 2× over Pruning at 0.2"] == pytest.approx(74.0 - 73.8)
    assert found["RigL 2× (ERK) over RigL 3× at 0.1 and RigL 2× at 0.2"] == pytest.approx((-0.1 + 0.4) / 2)
    assert found["ERK gains more than RigL over SET"] == pytest.approx(((72.3 - 71.8) + (73.5 - 73.5)) / 2)
    assert found["ERK gains more than RigL over Static"] == pytest.approx(((71.5 - 71.8) + (73.2 - 73.5)) / 2)


def test_what_the_printed_numbers_can_show():
    found = {claim.name: by_print(claim).word for claim in CLAIMS}
    assert found["CIFAR-100: ERK over Random"] == "undecided"  # in each of four pairs: 0.3 is not clear alone
    assert found["group 3: RigL 2× (ERK) over or like Pruning"] == "supported"
    assert found["CIFAR-100: SET over Static"] == "supported"
    assert found["RigL 2× over Pruning at 0.2"] == "undecided"
    assert "not supported" not in found.values()
    assert {name for name, word in found.items() if word == "not printed"} == {
        "CIFAR-100: RigL at 0.5 as good as Dense",
        "Lottery at 0.5 like Pruning",
        "Lottery at 0.5 like Dense",
    }


def test_every_rival_of_a_group_is_compared_within_its_group():
    _, groups = table_3()
    for number in ("1", "2", "3"):
        compared = [claim for claim in cifar.GROUPS if claim.name.startswith(f"group {number}:")]
        rivals = {right for claim in compared for _, right in claim.pairs}
        assert rivals == {cell for cell in groups[number] if cell.method != "RigL"}
        ours = {left for claim in compared for left, _ in claim.pairs}
        assert ours <= groups[number] and {cell.method for cell in ours} == {"RigL"}
        assert all(len({right.name for _, right in claim.pairs}) == 1 for claim in compared)
    assert len(cifar.GROUPS) == 9


def test_the_grid_trains_every_cell_of_the_claims():
    keys = ("method", "init", "density", "multiplier", "data")
    cells = {cell for claim in CLAIMS for pair in claim.pairs for cell in pair}
    for profile, densities in (("paper", {cell.density for cell in cells}), ("quick", {0.1, 1.0})):
        trained = {Cell(*(getattr(spec, key) for key in keys)) for spec in grids.specs("05_2", profile)}
        assert {cell for cell in cells if cell.density in densities} - trained == set()


def test_quick_repeats_what_is_close_with_three_seeds():
    found = Counter((spec.method, spec.init, spec.multiplier) for spec in grids.specs("05_2", "quick"))
    assert {row for row, n in found.items() if n == 3} == {
        (m, i, 1) for m in ("RigL", "SET") for i in ("Random", "ERK")
    }
    assert set(found.values()) == {1, 3}


def test_claims_have_names_of_their_own_and_compare_different_cells_of_cifar100():
    names = [claim.name for claim in (*statements.CIFAR10, *CLAIMS)]
    assert len(set(names)) == len(names)
    for claim in CLAIMS:
        assert claim.section == "5.2"
        assert len(set(claim.pairs)) == len(claim.pairs)
        for left, right in claim.pairs:
            assert left != right and left.data == right.data == "cifar100"


def test_the_trends_are_those_of_cifar10():
    asked = [claim for claim in statements.CIFAR10 if claim.name != "RigL 2× (ERK) like Pruning or better"]
    for ours, first in zip(cifar.TRENDS, asked, strict=True):
        back = tuple((replace(left, data="cifar10"), replace(right, data="cifar10")) for left, right in ours.pairs)
        assert (back, ours.relation, ours.margin, ours.every) == (
            first.pairs,
            first.relation,
            first.margin,
            first.every,
        )


def made_up(claim, gain, noise=0.01):
    """Runs of three seeds in which the left cell of every pair is `gain` points above the right one."""
    level = {}
    for _ in range(len(claim.pairs)):  # a cell may be right in one pair and left in another
        for left, right in claim.pairs:
            level.setdefault(right, level[left] - gain if left in level else 70.0)
            level.setdefault(left, level[right] + gain)
    shake = np.array([-1, 0, 1]) * noise
    return runs({cell: list(value + shake * (1 + place % 2)) for place, (cell, value) in enumerate(level.items())})


@by_name
def test_known_answers(claim):
    better, worse = (made_up(claim, gain) for gain in (1.0, -1.0))
    expected = {
        "outperforms": ("reproduced", "contradicted"),
        "at least matches": ("reproduced", "contradicted"),
        "matches": ("contradicted", "contradicted"),
    }[claim.relation]
    assert tuple(by_runs(claim, frame).word for frame in (better, worse)) == expected
    if claim.relation != "outperforms":
        assert by_runs(claim, made_up(claim, -0.2)).word == "reproduced"
    else:
        assert by_runs(claim, made_up(claim, 0.0)).word == "no practical difference"
    loud = made_up(claim, 0.0)
    loud["test_accuracy"] = np.random.default_rng(0).permutation(np.linspace(60, 80, len(loud)))
    assert by_runs(claim, loud).word == "undecided"


@by_name
def test_without_runs_or_with_those_of_the_other_data_there_is_no_answer(claim):
    frame = made_up(claim, 1.0)
    for missing in (frame.assign(present=frame["seed"] == 0), frame.assign(data="cifar10")):
        assert by_runs(claim, missing).word == "not enough runs"


FOUR = {
    "ERK gains more than RigL over SET": ("SET", "RigL"),
    "ERK gains more than SET over Static": ("Static", "SET"),
    "ERK gains more than RigL over Static": ("Static", "RigL"),
}


@pytest.mark.parametrize("claim", cifar.EXTENT, ids=[claim.name for claim in cifar.EXTENT])
def test_what_is_left_is_the_gain_of_erk_minus_the_gain_of_the_method(claim):
    worse, better = FOUR.get(claim.name, ("RigL", "SNFS"))
    rng = np.random.default_rng(1)
    values = {
        Cell(method, init, density, data="cifar100"): list(rng.normal(70, 3, 3))
        for method in (worse, better)
        for init in ("Random", "ERK")
        for density in (0.1, 0.2)
    }
    at = {(cell.method, cell.init, cell.density): np.mean(accuracies) for cell, accuracies in values.items()}
    gains = []
    for d in (0.1, 0.2):
        erk = np.mean([at[method, "ERK", d] - at[method, "Random", d] for method in (worse, better)])
        method = np.mean([at[better, init, d] - at[worse, init, d] for init in ("Random", "ERK")])
        gains.append(erk - method if claim.name in FOUR else method - erk)
    assert by_runs(claim, runs(values)).estimate.value == pytest.approx(np.mean(gains))


def test_table_3_shows_its_groups_and_our_runs():
    cell = Cell("Lottery", None, 0.1, data="cifar100")
    ours = runs({cell: [73.0, 73.2], Cell("RigL", "Random", 0.1, 3, data="cifar100"): [None, 74.0]})
    shown = tables.comparison(grids.published("table3_cifar100"), {"paper": ours}).data
    assert shown.loc[("0.1", "3", "Lottery"), ("test accuracy", "paper")] == "73.1 ± 0.14 (n = 2)"
    assert shown.loc[("0.1", "3", "RigL 3×"), ("test accuracy", "paper")] == "74.0 (n = 1)"
    assert shown.loc[("1", "4", "Dense"), ("test accuracy", "published")] == "74.7 ± 0.38 (n = 3)"
    assert shown.loc[("0.2", "3", "RigL 2× (ERK)"), ("test accuracy", "paper")] == "–"
