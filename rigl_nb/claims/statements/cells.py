"""Short names for the cells that the claims compare."""

from rigl_nb.claims.claim import Cell


def pairs(left: tuple, right: tuple, densities: tuple[float, ...] = (0.1, 0.2)) -> tuple:
    """Pairs of cells, one for each density; left and right are (method, init[, multiplier])."""
    return tuple((cell(*left, density=d), cell(*right, density=d)) for d in densities)


def cell(method: str, init: str | None, multiplier: int = 1, *, density: float) -> Cell:
    """A cell of CIFAR-10 at a density."""
    return Cell(method, init, density, multiplier)


RANDOM, ERK = ("RigL", "Random"), ("RigL", "ERK")
RANDOM_2, ERK_2 = (*RANDOM, 2), (*ERK, 2)
SET_RANDOM, SET_ERK = ("SET", "Random"), ("SET", "ERK")
SNFS_RANDOM, SNFS_ERK = ("SNFS", "Random"), ("SNFS", "ERK")
