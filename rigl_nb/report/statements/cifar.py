"""Sections 5.1 and 5.2: Tables 2 and 3, Figure 1."""

from rigl_nb.report.claims import MATCH_MARGIN, Cell, Claim
from rigl_nb.report.statements.cells import (
    ERK,
    ERK_2,
    RANDOM,
    RANDOM_2,
    SET_ERK,
    SET_RANDOM,
    SNFS_ERK,
    SNFS_RANDOM,
    pairs,
)

_ALL = (0.05, 0.1, 0.2, 0.5)
_CENTRAL = (
    "Given a fixed training FLOP budget, RigL surpasses existing dynamic sparse training methods "
    "over a range of target sparsities"
)
_SET_IMPROVES = "SET improves over the performance of static sparse networks and small-dense networks"
_GRADIENTS = "methods utilizing gradient information (SNFS, RigL) obtain better test accuracies"
_SNFS = "SNFS can outperform RigL, but requires a much larger training budget"
_LONGER = "Performance further improves by training for longer durations"
_EXCEEDS = "training RigL (ERK) twice as long at 90% sparsity exceeds the performance of iterative pruning"
_INITIALIZATION = "using ERK initialization improves performance"
_BASELINE = "At lower sparsities (higher densities), RigL matches the performance of the dense baseline"
_AT_HALF = ((Cell("RigL", "Random", 0.5), Cell("Dense")), (Cell("RigL", "ERK", 0.5), Cell("Dense")))

# Section 5.1, Table 2 and Figure 1. The central claim comes first, over every density of Figure 1 at the
# usual length: that SET can collapse in longer training is a claim of its own.
CIFAR10 = (
    Claim(
        "RigL over SET, all densities",
        _CENTRAL,
        "5",
        pairs(RANDOM, SET_RANDOM, _ALL) + pairs(ERK, SET_ERK, _ALL),
    ),
    Claim("SET over Static", _SET_IMPROVES, "5.1", pairs(SET_RANDOM, ("Static", "Random"))),
    Claim("SET over Small-Dense", _SET_IMPROVES, "5.1", pairs(SET_RANDOM, ("Small-Dense", None))),
    Claim("RigL over SET", _GRADIENTS, "5.1", pairs(RANDOM, SET_RANDOM) + pairs(ERK, SET_ERK)),
    Claim("SNFS over SET", _GRADIENTS, "5.1", pairs(SNFS_RANDOM, SET_RANDOM) + pairs(SNFS_ERK, SET_ERK)),
    Claim("SNFS over RigL", _SNFS, "5.1", pairs(SNFS_RANDOM, RANDOM)),
    Claim("ERK over Random", _INITIALIZATION, "5.1", pairs(ERK, RANDOM) + pairs(SET_ERK, SET_RANDOM)),
    Claim("RigL 2× over RigL", _LONGER, "5.1", pairs(RANDOM_2, RANDOM) + pairs(ERK_2, ERK)),
    Claim("RigL 2× (ERK) over Pruning", _EXCEEDS, "5.1", pairs(ERK_2, ("Pruning", None), (0.1,))),
    Claim("RigL at 0.5 as good as Dense", _BASELINE, "5.1", _AT_HALF, "matches", MATCH_MARGIN),
)
