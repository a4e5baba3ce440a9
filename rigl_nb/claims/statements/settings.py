"""Section 4: Table 1, beside the original paper's numbers."""

from dataclasses import replace

import pandas as pd

from rigl_nb.claims.claim import MATCH_MARGIN, Cell, Claim
from rigl_nb.claims.statements.cells import ERK, cell

BUDGETS = (0.1, 0.2, 0.5)

# Section 4, Table 1: trained on all 50,000 images. The right cell is the original paper's number, one value without
# a spread.
ORIGINAL = "original"
_OF_TABLE1 = (("Static", "ERK"), ("Pruning", None), ERK)
_TABLE1 = (Cell("Dense"), *(cell(*row, density=d) for row in _OF_TABLE1 for d in BUDGETS))
SETTINGS = (
    Claim(
        "RigL (ERK) like the original",
        "We reproduce RigL's performance on CIFAR-10 within 0.1% of the reported value",
        "summary",
        tuple((cell, replace(cell, data=ORIGINAL)) for cell in _TABLE1 if cell.method == "RigL"),
        "matches",
        0.1,
        every=True,
    ),
    Claim(
        "all methods like the original",
        "our replication matches the paper's performance when 50k samples are used for the train set",
        "4.2",
        tuple((cell, replace(cell, data=ORIGINAL)) for cell in _TABLE1),
        "matches",
        MATCH_MARGIN,
        every=True,
    ),
)


def originals(table1: pd.DataFrame) -> dict[Cell, float]:
    """The original paper's accuracies of Table 1, in percent: fixed numbers, each one value without a spread."""
    return {
        Cell(row.method, row.init, row.density, data=ORIGINAL): row.accuracy_original for row in table1.itertuples()
    }
