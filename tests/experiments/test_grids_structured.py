"""Section 13: structures beside dense networks of their size and of their speed, five seeds each."""

from collections import Counter

from rigl_nb.claims.claim import Cell
from rigl_nb.claims.statements import STRUCTURED
from rigl_nb.experiments.grids import specs


def cell(spec) -> Cell:
    return Cell(spec.method, spec.init, spec.density, spec.multiplier, spec.data, spec.structure)


def test_every_structure_has_five_seeds_and_all_cells_of_the_claims_are_trained():
    found = Counter(map(cell, specs("13", "quick")))
    assert set(found.values()) == {5} and len(found) == 10
    assert {one.structure for one in found} == {"weight", "kernel", "channel", "fan-in", "2:4"}
    assert {one for claim in STRUCTURED for one in claim.cells} <= set(found)


def test_seeds_come_before_rows_so_that_a_stopped_batch_is_even():
    assert [spec.seed for spec in specs("13", "quick")] == [seed for seed in range(5) for _ in range(10)]


def test_all_of_them_are_our_questions():
    assert all(claim.own for claim in STRUCTURED)
    assert len({claim.name for claim in STRUCTURED}) == len(STRUCTURED)
