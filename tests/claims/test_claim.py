"""Claims and the cells that they compare: names, rows of a frame, words, and what would make them true."""

import math
from dataclasses import asdict, replace

import pandas as pd
import pytest
from frames import runs

from rigl_nb.claims.claim import Cell, Claim, places
from rigl_nb.claims.statements import best_over

RIGL, SET, DENSE = Cell("RigL", "ERK", 0.1), Cell("SET", "ERK", 0.1), Cell("Dense")
BETTER = Claim("RigL over SET", "better", "5.1", ((RIGL, SET),))
LIKE = replace(BETTER, relation="matches", margin=0.3)
NOT_WORSE = replace(LIKE, relation="at least matches")
NOT_BETTER = replace(BETTER, relation="not better")


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        (Cell("Static", "Random", 0.1), "Static"),
        (Cell("SET", "ERK", 0.1), "SET (ERK)"),
        (Cell("RigL", "ERK", 0.1, 2), "RigL 2× (ERK)"),
        (Cell("RigL", "Random", 0.1, 2), "RigL 2×"),
        (Cell("Small-Dense", None, 0.1), "Small-Dense"),
        (DENSE, "Dense"),
    ],
)
def test_row_names_are_the_reports(cell, name):
    assert cell.name == name and cell.label == f"{name} at {cell.density:g}"


@pytest.mark.parametrize("init", [None, math.nan])
def test_rows_and_places_find_the_same_rows(init):
    other = [replace(RIGL, density=0.2), replace(RIGL, multiplier=2), replace(RIGL, data="digits")]
    frame = runs({cell: [90.0, 91.0] for cell in (RIGL, *other, DENSE)})
    frame["init"] = frame["init"].astype(object).where(frame["init"].notna(), init)
    frame["density"] += 1e-12  # as arithmetic leaves it
    found = places(frame)
    assert set(found) == {RIGL, *other, DENSE}
    for cell, rows in found.items():
        assert cell.rows(frame).equals(frame.iloc[rows]) and len(rows) == 2
        assert set(frame["config_id"].iloc[rows]) == {f"{cell.data}_{cell.name}_{cell.density:g}"}


def test_a_column_that_lacks_is_no_condition():
    frame = pd.DataFrame([asdict(RIGL)]).drop(columns=["multiplier", "data"])
    assert len(replace(RIGL, data="digits").rows(frame)) == 1 and places(frame) == {RIGL: [0]}
    assert SET.rows(frame).empty and RIGL.rows(frame.iloc[:0]).empty and places(frame.iloc[:0]) == {}


@pytest.mark.parametrize(
    ("claim", "true", "false"),
    [
        (BETTER, (0.01, 5.0), (0.0, -0.01)),
        (replace(BETTER, margin=0.5), (0.51,), (0.5, 0.3, -1.0)),
        (NOT_WORSE, (-0.29, 0.0, 4.0), (-0.3, -1.0)),
        (LIKE, (-0.29, 0.0, 0.29), (-0.3, 0.3, 2.0)),
        (NOT_BETTER, (-3.0, 0.0), (0.01, 2.0)),
    ],
)
def test_what_makes_a_claim_true(claim, true, false):
    assert all(claim.holds(value) for value in true) and not any(claim.holds(value) for value in false)


def test_statements():
    assert [claim.statement for claim in (BETTER, replace(BETTER, margin=0.5), NOT_WORSE, LIKE, NOT_BETTER)] == [
        "difference > 0",
        "difference > 0.5",
        "difference > -0.3",
        "difference within ±0.3",
        "difference not above 0",
    ]
    two = replace(BETTER, pairs=((RIGL, SET), (RIGL, DENSE)))
    assert two.statement == "difference > 0, mean of 2 pairs"
    assert replace(two, every=True).statement == "difference > 0 in each of 2 pairs"
    assert two.cells == (RIGL, SET, DENSE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relation": "beats"}, "unknown relation 'beats'.*outperforms"),
        ({"relation": "matches"}, "margin 0.0"),
        ({"relation": "at least matches"}, "margin 0.0"),
        ({"margin": -0.1}, "margin -0.1"),
        ({"pairs": ()}, "compares no cells"),
    ],
)
def test_bad_claims_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(BETTER, **change)


def test_a_structure_is_a_cell_of_its_own():
    """Records of channels are not those of single weights, and the report's tables have none of them."""
    rows = [("RigL", "ERK", 0.2, "weight", 1.0), ("RigL", "ERK", 0.2, "channel", 2.0)]
    frame = pd.DataFrame(rows, columns=["method", "init", "density", "structure", "accuracy"])
    weight, channel = (Cell("RigL", "ERK", 0.2, structure=name) for name in ("weight", "channel"))
    assert [cell.rows(frame)["accuracy"].tolist() for cell in (weight, channel)] == [[1.0], [2.0]]
    assert places(frame) == {weight: [0], channel: [1]}
    printed = frame.drop(columns="structure")
    assert len(weight.rows(printed)) == 2 and channel.rows(printed).empty
    assert channel.label == "channel RigL (ERK) at 0.2"


def test_the_questions_about_a_search_are_of_the_reports_future_work():
    cells = [Cell("RigL", init, 0.1) for init in ("ERK^0.5", "ERK", "Random")]
    asked = best_over(cells[0], {"ERK": cells[1], "itself": cells[0], "Random": cells[2]})
    assert [claim.name for claim in asked] == ["best over ERK", "best over Random"]
    assert [claim.pairs for claim in asked] == [((cells[0], cells[1]),), ((cells[0], cells[2]),)]
    assert {(claim.section, claim.relation) for claim in asked} == {("7", "outperforms")}
