"""Section 4: Table 1, beside the original paper's numbers."""

from dataclasses import replace

import pandas as pd

from rigl_nb.claims.judge import MATCH_MARGIN, Cell, Claim
from rigl_nb.claims.statements.cells import ERK, cell

BUDGETS = (0.1, 0.2, 0.5)

# Section 4, Table 1: trained on all 50,000 images. The right cell is the original paper's number, one value without
# a spread: rows of `data` ORIGINAL hold it.
ORIGINAL = "original"
_OF_TABLE1 = (("Static", "ERK"), ("Pruning", None), ERK)
_TABLE1 = (Cell("Dense"), *(cell(*row, density=d) for row in _OF_TABLE1 for d in BUDGETS))
SETTINGS = (
    Claim(
        "RigL (ERK) like the original",
        "We reproduce RigL's performance on CIFAR-10 within 0.1% of the reported value",
        "Summary",
        tuple((cell, replace(cell, data=ORIGINAL)) for cell in _TABLE1 if cell.method == "RigL"),
        "matches",
        0.1,
    ),
    Claim(
        "all methods like the original",
        "our replication matches the paper's performance when 50k samples are used for the train set",
        "4.2",
        tuple((cell, replace(cell, data=ORIGINAL)) for cell in _TABLE1),
        "matches",
        MATCH_MARGIN,
    ),
)


def with_original(runs: pd.DataFrame, table1: pd.DataFrame) -> pd.DataFrame:
    """The runs, one row each, and beside every run of Table 1 a row of `data` ORIGINAL with the original's number.

    So `judge` compares each run with one fixed number, and only runs can be missing.
    """
    fixed = {"data": ORIGINAL, "present": True, "collapsed": False}
    rows = [
        Cell(row.method, row.init, row.density).rows(runs).assign(test_accuracy=row.accuracy_original, **fixed)
        for row in table1.itertuples()
    ]
    return pd.concat([runs, *rows], ignore_index=True)
