"""Section 5.3: Table 4 and Figure 2, tuning α, ΔT and the learning rate."""

from dataclasses import replace

from rigl_nb.claims.claim import MATCH_MARGIN, Cell, Claim
from rigl_nb.claims.instability import Instability
from rigl_nb.experiments.grids import FAST, RATES

DENSITIES, INITS = (0.1, 0.2, 0.5), ("Random", "ERK")
RATE, GOOD = 0.1, (0.1, 0.05)  # the learning rate of all other sections; the report's good choices

# What a row's `data` says where the same cell was trained with other hyperparameters: the best of a search, a learning
# rate with the best α and ΔT at it. The data set's own name is the reference.
TUNED = "tuned"


def at_rate(rate: float) -> str:
    """The `data` of runs with this learning rate."""
    return f"learning rate {rate:g}"


_CELLS = {init: tuple(Cell("RigL", init, density) for density in DENSITIES) for init in INITS}
_RIGL, _DENSE = (*_CELLS["Random"], *_CELLS["ERK"]), Cell("Dense")

_SMALL = (
    "The difference between the reference and optimal performance is small, indicating that there is not a "
    "significant benefit in tuning"
)
_OFTEN = "the reference choice of hyperparameters is often close to optimal performance"
_ESPECIALLY = "the difference in performance is marginal, especially for ERK initialization"
_RATES = "η=0.1 and η=0.05 are close to optimal values for a wide range of sparsities and initializations"
_DENSE_RATES = "these learning rates also correspond to good choices for the Dense baseline"
_NOT = "Runs using a learning rate >0.1 do not converge"


def _tuned(cell: Cell) -> tuple[Cell, Cell]:
    return replace(cell, data=TUNED), cell


def _near_best(name: str, quote: str, cells: tuple[Cell, ...], rate: float) -> Claim:
    """Not worse than any other rate. The best of them is not chosen first: its luck would count against `rate`."""
    others = [other for other in RATES if other != rate]
    pairs = tuple((replace(c, data=at_rate(rate)), replace(c, data=at_rate(o))) for c in cells for o in others)
    return Claim(name, quote, "5.3", pairs, "at least matches", MATCH_MARGIN, True)


# Table 4. The third is no difference of two cells but of two differences: each pair adds one of them with its sign, so
# twice the mean over the pairs is what it asks for.
SEARCH = (
    Claim("tuned like the reference", _SMALL, "5.3", tuple(map(_tuned, _RIGL)), "matches", MATCH_MARGIN, True),
    *(
        Claim(f"tuned like the reference, {cell.label}", _OFTEN, "summary", (_tuned(cell),), "matches", MATCH_MARGIN)
        for cell in _RIGL
    ),
    Claim(
        "tuning gains more for Random than for ERK",
        _ESPECIALLY,
        "5.3",
        (*map(_tuned, _CELLS["Random"]), *(_tuned(cell)[::-1] for cell in _CELLS["ERK"])),
        times=2,
    ),
)
# Figure 2: at each learning rate with the best α and ΔT of the grid.
NEAR = (
    *(_near_best(f"RigL: {at_rate(rate)} near the best", _RATES, _RIGL, rate) for rate in GOOD),
    *(_near_best(f"Dense: {at_rate(rate)} near the best", _DENSE_RATES, (_DENSE,), rate) for rate in GOOD),
)

# A run that only ends lower has converged, so "do not converge" asks for broken runs.
FASTER = Instability(
    f"most runs with learning rate {FAST:g} break",
    _NOT,
    "5.3",
    tuple((replace(cell, data=at_rate(FAST)), cell) for cell in (_DENSE, *_RIGL)),
    measure="most",
)

TUNING = (*SEARCH, *NEAR, FASTER)
