"""Section 13, ours: what the abstract says of structured sparsity, and what others found. Written before any run."""

from rigl_nb.claims.claim import MATCH_MARGIN, Cell, Claim
from rigl_nb.experiments.structured import DENSITY, EQUAL_TIME

SPEEDUPS = (
    "our early experiments show that adapting RigL to promote structured sparsity can obtain practical speedups in "
    "existing hardware accelerators"
)
_FAN_IN = "RigL with a constant fan-in is as accurate as RigL (Lasby et al. 2024)"
_SCRATCH = "a pruned architecture that is trained from scratch is as good as a fine-tuned one (Liu et al. 2019)"


def _cell(method: str, structure: str = "channel", init: str = "Random") -> Cell:
    return Cell(method, init, DENSITY, structure=structure)


def _own(name: str, quote: str, left: Cell, right: Cell, *rest, section: str = "abstract") -> Claim:
    return Claim(name, quote, section, ((left, right),), *rest, own=True)


CHANNELS, SINGLE = _cell("RigL"), Cell("RigL", "ERK", DENSITY)
SMALL, AS_FAST = (Cell("Small-Dense", None, density) for density in (DENSITY, EQUAL_TIME))
STRUCTURED = (
    _own("channel RigL over Small-Dense of equal time", SPEEDUPS, CHANNELS, AS_FAST),
    _own("channel RigL over Small-Dense of equal density", SPEEDUPS, CHANNELS, SMALL),
    _own("channel RigL over channel Static", SPEEDUPS, CHANNELS, _cell("Static")),
    _own("channel RigL over channel SET", SPEEDUPS, CHANNELS, _cell("SET")),
    _own("RigL (ERK) over channel RigL", SPEEDUPS, SINGLE, CHANNELS),
    _own("RigL (ERK) over kernel RigL (ERK)", SPEEDUPS, SINGLE, _cell("RigL", "kernel", "ERK")),
    _own("fan-in RigL (ERK) like RigL (ERK)", _FAN_IN, _cell("RigL", "fan-in", "ERK"), SINGLE, "matches", MATCH_MARGIN),
    _own("Small-Dense like channel Static", _SCRATCH, SMALL, _cell("Static"), "matches", MATCH_MARGIN),
)
