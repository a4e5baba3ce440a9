"""Table 1 and its two claims: synthetic runs with known answers, and what a reader computes from printed numbers."""

import csv
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from statistics import fmean, variance

import nbformat
import pandas as pd
import pytest
from frames import runs
from scipy import stats

from rigl_nb import paths
from rigl_nb.claims import judge
from rigl_nb.claims.claim import Cell
from rigl_nb.claims.model import Runs
from rigl_nb.claims.statements.settings import ORIGINAL, SETTINGS, originals
from rigl_nb.experiments import grids

RIGL, ALL = SETTINGS


def printed() -> list[dict[str, str]]:
    with open(grids.PUBLISHED / "table1.csv", newline="") as file:
        return list(csv.DictReader(file))


def cell_of(row) -> Cell:
    return Cell(row["method"], row["init"] or None, float(row["density"]))


CELLS = {cell_of(row): float(row["accuracy_original"]) for row in printed()}


def judged(claim, frame):
    return judge.by_runs(claim, Runs(frame, originals(grids.published("table1"))), "paper")


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
def test_answer_of_a_steady_difference(claim, offset, verdict):
    found = judged(claim, shifted(offset))
    assert found.word == verdict
    assert found.estimate.value == pytest.approx(offset, abs=1e-9)


@pytest.mark.parametrize(("claim", "offset"), [(RIGL, 0.1), (RIGL, -0.1), (ALL, 0.3)])
def test_an_interval_over_the_margin_is_undecided(claim, offset):
    found = judged(claim, shifted(offset, noise=0.2))
    assert found.interval[0] < offset < found.interval[1] and found.word == "undecided"


def test_interval_of_a_pooled_sample_around_known_numbers():
    """The originals have no spread: three cells of three runs, six degrees of freedom."""
    rigl = [cell for cell in CELLS if cell.method == "RigL"]
    noise = [[0.01, 0.03, 0.02], [-0.05, 0.0, 0.02], [0.04, 0.01, -0.02]]
    values = {cell: [CELLS[cell] + one for one in of_cell] for cell, of_cell in zip(rigl, noise, strict=True)}
    half = stats.t.ppf(0.975, 6) * (fmean(variance(of_cell) for of_cell in noise) / 9) ** 0.5
    found, mean = judged(RIGL, runs(values)), fmean(map(fmean, noise))
    assert found.n == 9
    assert found.interval == pytest.approx((mean - half, mean + half))


def test_without_runs_only_our_cells_are_missing():
    nothing = runs({cell: [None] * 3 for cell in CELLS})
    for claim, cells in ((RIGL, 3), (ALL, 10)):
        found = judged(claim, nothing)
        assert (found.word, found.n, len(found.missing)) == ("not enough runs", 0, cells)
        assert {cell.data for cell in found.missing} == {"cifar10"}


def test_a_cell_with_too_few_runs_is_named():
    short = Cell("RigL", "ERK", 0.2)
    values = {cell: [value, value, value] for cell, value in CELLS.items()} | {short: [93.8, None, 93.8]}
    assert judged(RIGL, runs(values)).missing == (short,)
    assert judged(ALL, runs(values)).word == "not enough runs"


def test_runs_of_other_data_are_no_evidence():
    frame = shifted(0.0).assign(data="digits")
    assert judged(RIGL, frame).word == "not enough runs"


def test_a_broken_run_is_apart_and_marked_once():
    cell = Cell("RigL", "ERK", 0.1)
    values = {other: [value] * 3 for other, value in CELLS.items()} | {cell: [CELLS[cell], 10.0, CELLS[cell]]}
    found = judged(RIGL, runs(values, collapsed={(cell, 1)}))
    assert (found.broken, found.n) == ((1, 0), 9)
    assert found.estimate.value == pytest.approx(0)
    assert found.whole.value == pytest.approx((10.0 - CELLS[cell]) / 9)


def test_every_original_is_the_printed_number_of_its_cell():
    found = originals(grids.published("table1"))
    assert found == {replace(cell_of(row), data=ORIGINAL): float(row["accuracy_original"]) for row in printed()}
    assert len(found) == len(CELLS) == 10


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
    assert judged(RIGL, frame).estimate.value == pytest.approx(float(sum(by_hand["RigL"])) / 3)
    assert judged(ALL, frame).estimate.value == pytest.approx(float(sum(by_hand["all"])) / 10)


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
