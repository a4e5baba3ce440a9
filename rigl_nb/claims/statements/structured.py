"""Section 13, ours: what the abstract says of structured sparsity, and what others found.

Written before any run, but for the rival of equal time: the first runs were there when a better timing chose another.
"""

from rigl_nb.claims.claim import MATCH_MARGIN, Cell, Claim
from rigl_nb.experiments.structured import DENSITY, EQUAL_TIME

SPEEDUPS = (
    "our early experiments show that adapting RigL to promote structured sparsity can obtain practical speedups in "
    "existing hardware accelerators"
)


def _cell(method: str, structure: str = "channel", init: str = "Random") -> Cell:
    return Cell(method, init, DENSITY, structure=structure)


def _own(name: str, left: Cell, right: Cell, *rest) -> Claim:
    return Claim(name, SPEEDUPS, "abstract", ((left, right),), *rest, own=True)


CHANNELS, SINGLE = _cell("RigL"), Cell("RigL", "ERK", DENSITY)
SMALL, AS_FAST = (Cell("Small-Dense", None, density) for density in (DENSITY, EQUAL_TIME))
STRUCTURED = (
    _own("channel RigL over Small-Dense of equal time", CHANNELS, AS_FAST),
    _own("channel RigL over Small-Dense of equal density", CHANNELS, SMALL),
    _own("channel RigL over channel Static", CHANNELS, _cell("Static")),
    _own("channel RigL over channel SET", CHANNELS, _cell("SET")),
    _own("RigL (ERK) over channel RigL", SINGLE, CHANNELS),
    _own("RigL (ERK) over kernel RigL (ERK)", SINGLE, _cell("RigL", "kernel", "ERK")),
    _own("fan-in RigL (ERK) like RigL (ERK)", _cell("RigL", "fan-in", "ERK"), SINGLE, "matches", MATCH_MARGIN),
    _own("Small-Dense like channel Static", SMALL, _cell("Static"), "matches", MATCH_MARGIN),
)
