"""Table 1 and its two claims: synthetic runs with known answers, and what a reader computes from printed numbers."""

import csv
from collections import Counter
from decimal import Decimal
from statistics import fmean, stdev

import nbformat
import pandas as pd
import pytest
from frames import runs
from scipy import stats

from rigl_nb import paths
from rigl_nb.claims import judge
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.statements.settings import ORIGINAL, SETTINGS, with_original
from rigl_nb.experiments import grids

RIGL, ALL = SETTINGS


def printed() -> list[dict[str, str]]:
    with open(grids.PUBLISHED / "table1.csv", newline="") as file:
        return list(csv.DictReader(file))


def cell_of(row) -> Cell:
    return Cell(row["method"], row["init"] or None, float(row["density"]))


CELLS = {cell_of(row): float(row["accuracy_original"]) for row in printed()}


def judged(claim, frame):
    return judge.judge(claim, with_original(frame, grids.published("table1")))


def shifted(offset, noise=0.01) -> pd.DataFrame:
    """Three seeds of every cell, `offset` away from the original's number on average."""
    return runs({cell: [value + offset + noise * step for step in (-1, 0, 1)] for cell, value in CELLS.items()})


@pytest.mark.parametrize(
    ("claim", "offset", "verdict"),
    [
        (RIGL, 0.0, "reproduced"),
        (RIGL, -0.08, "reproduced"),
        (RIGL, 0.12, "contradicted"),
        (RIGL, -0.3, "contradicted"),
        (ALL, 0.28, "reproduced"),
        (ALL, -0.28, "reproduced"),
        (ALL, 0.4, "contradicted"),
    ],
)
def test_verdict_of_a_steady_difference(claim, offset, verdict):
    found = judged(claim, shifted(offset))
    assert found.verdict == verdict
    assert found.difference == pytest.approx(offset, abs=1e-9)


@pytest.mark.parametrize(("claim", "offset"), [(RIGL, 0.1), (RIGL, -0.1), (ALL, 0.3)])
def test_an_interval_over_the_margin_is_inconclusive(claim, offset):
    found = judged(claim, shifted(offset, noise=0.2))
    assert found.low < offset < found.high and found.verdict == "inconclusive"


def test_interval_is_the_one_of_a_single_sample():
    # The original's number has no spread, so the differences are one sample.
    rigl = [cell for cell in CELLS if cell.method == "RigL"]
    values = {cell: [CELLS[cell] + 0.01 * (place + 3 * seed) for seed in range(3)] for place, cell in enumerate(rigl)}
    differences = [value - CELLS[cell] for cell, of_cell in values.items() for value in of_cell]
    half = stats.t.ppf(0.975, 8) * stdev(differences) / 3
    found = judged(RIGL, runs(values))
    assert found.n == 9
    assert (found.low, found.high) == pytest.approx((fmean(differences) - half, fmean(differences) + half))


def test_without_runs_only_our_cells_are_missing():
    nothing = runs({cell: [None] * 3 for cell in CELLS})
    for claim, cells in ((RIGL, 3), (ALL, 10)):
        found = judged(claim, nothing)
        assert (found.verdict, found.n, len(found.missing)) == ("not enough runs", 0, cells)
        assert {cell.data for cell in found.missing} == {"cifar10"}


def test_a_cell_with_one_run_is_named():
    short = Cell("RigL", "ERK", 0.2)
    values = {cell: [value, value, value] for cell, value in CELLS.items()} | {short: [93.8, None, None]}
    assert judged(RIGL, runs(values)).missing == (short,)
    assert judged(ALL, runs(values)).verdict == "not enough runs"
    values[short] = [93.8, None, 93.8]
    assert judged(RIGL, runs(values)).n == 8


def test_runs_of_other_data_are_no_evidence():
    frame = shifted(0.0).assign(data="digits")
    assert judged(RIGL, frame).verdict == "not enough runs"


def test_a_collapsed_run_counts_and_is_marked_once():
    cell = Cell("RigL", "ERK", 0.1)
    values = {other: [value] * 3 for other, value in CELLS.items()} | {cell: [CELLS[cell], 10.0, CELLS[cell]]}
    found = judged(RIGL, runs(values, collapsed={(cell, 1)}))
    assert (found.collapsed, found.n) == (1, 9)
    assert found.difference == pytest.approx((10.0 - CELLS[cell]) / 9)


def test_every_run_stands_beside_the_number_of_its_cell():
    frame = shifted(0.5)
    both = with_original(frame, grids.published("table1"))
    assert both.iloc[: len(frame)].equals(frame)
    fixed = both[both["data"] == ORIGINAL]
    assert len(fixed) == len(frame) == 3 * len(CELLS)
    for row in printed():
        cell = cell_of(row)
        rows = Cell(cell.method, cell.init, cell.density, data=ORIGINAL).rows(fixed)
        assert rows["test_accuracy"].tolist() == [float(row["accuracy_original"])] * 3
        assert rows["seed"].tolist() == [0, 1, 2]


def test_the_grid_trains_every_cell_of_the_claims_without_validation():
    specs = grids.specs("04", "paper")
    trained = Counter(Cell(s.method, s.init, s.density, s.multiplier, s.data) for s in specs)
    assert dict(trained) == dict.fromkeys(CELLS, 3)
    assert {left for claim in SETTINGS for left, _ in claim.pairs} == set(trained)
    assert {s.validation for s in specs} == {0}


def test_each_claim_compares_a_cell_with_its_own_original():
    for claim in SETTINGS:
        for left, right in claim.pairs:
            assert (left.data, right.data) == ("cifar10", ORIGINAL)
            assert (left.method, left.init, left.density) == (right.method, right.init, right.density)
    assert {left.method for left, _ in RIGL.pairs} == {"RigL"} and RIGL.margin == 0.1
    assert (len(RIGL.pairs), len(ALL.pairs)) == (3, 10)


def test_the_reports_own_values_as_runs():
    frame = runs({cell_of(row): [float(row["accuracy_report"])] * 3 for row in printed()})
    by_hand = {
        name: [Decimal(row["accuracy_report"]) - Decimal(row["accuracy_original"]) for row in rows]
        for name, rows in {"all": printed(), "RigL": [row for row in printed() if row["method"] == "RigL"]}.items()
    }
    assert by_hand["RigL"] == [Decimal("0.1"), Decimal("0.0"), Decimal("0.1")]
    assert judged(RIGL, frame).difference == pytest.approx(float(sum(by_hand["RigL"])) / 3)
    assert judged(ALL, frame).difference == pytest.approx(float(sum(by_hand["all"])) / 10)


def said(start: str) -> list[str]:
    """Lines of the committed notebook's printed output that begin so."""
    notebook = nbformat.read(paths.ROOT / "notebooks" / "04_settings.ipynb", 4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    lines = "".join(output.text for output in outputs if output.output_type == "stream").splitlines()
    return [line for line in lines if line.startswith(start)]


@pytest.mark.parametrize("method", ["Dense", "Static", "Pruning", "RigL"])
def test_the_notebook_names_the_largest_printed_difference(method):
    rows = [row for row in printed() if row["method"] == method]
    off = {row["density"]: abs(Decimal(row["accuracy_report"]) - Decimal(row["accuracy_original"])) for row in rows}
    largest = max(off.values())
    words = "within" if largest <= Decimal("0.1") else "not within"
    (line,) = said(f"{method}: ")
    assert line.startswith(f"{method}: {words} 0.1, at most {largest} (density ")
    density = line.removesuffix(")").split()[-1]
    assert any(float(name) == float(density) for name, value in off.items() if value == largest)


def test_the_notebook_shows_what_the_validation_images_cost():
    with_split = {}
    for name in ("table2_cifar10", "table4_tuning"):
        with open(grids.PUBLISHED / f"{name}.csv", newline="") as file:
            for row in csv.DictReader(file):
                cell = Cell(row.get("method", "RigL"), row["init"] or None, float(row["density"]))
                if row.get("multiplier", "1") == "1":
                    with_split.setdefault(cell, row.get("accuracy_mean") or row["reference_mean"])
    for row in printed():
        cell, value = cell_of(row), row["accuracy_report"]
        lines = said(f"{cell.label}: ")
        if cell in with_split:
            gain = Decimal(value) - Decimal(with_split[cell])
            assert lines == [f"{cell.label}: {value} without, {with_split[cell]} with, {gain:+.1f}"]
        else:
            assert lines == []
