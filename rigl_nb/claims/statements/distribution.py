"""Sections 6.1 and 6.2: Random and ERK at equal FLOPs, redistribution."""

from collections.abc import Mapping
from dataclasses import replace

from rigl_nb.claims.claim import MATCH_MARGIN, Cell, Claim
from rigl_nb.claims.statements.cells import ERK, RANDOM, pairs

_MOVING = "redistribution significantly improves RigL (Random), but not RigL (ERK)"
_BRIDGES = (
    "By utilising sparse gradient or sparse momentum based redistribution, RigL (Random) matches RigL (ERK)'s "
    "performance"
)
_SUBPAR = (
    "initializing RigL with the final sparsity distribution in a manner similar to the Lottery Ticket Hypothesis "
    "results in subpar performance"
)
_COPIED = {
    kind: tuple(("RigL", f"{kind}RigL-SM ({init})") for init in ("Random", "ERK")) for kind in ("", "densities of ")
}


def _redistribution(data: str, title: str) -> tuple[Claim, ...]:
    def of_data(*sides: tuple[tuple, tuple]) -> tuple:
        found = (pair for left, right in sides for pair in pairs(left, right))
        return tuple((replace(left, data=data), replace(right, data=data)) for left, right in found)

    moved = {init: [(method, init) for method in ("RigL-SG", "RigL-SM")] for init in ("Random", "ERK")}
    improves = of_data(*((cell, RANDOM) for cell in moved["Random"]))
    improves_not = of_data(*((cell, ERK) for cell in moved["ERK"]))
    bridges = of_data(*((cell, ERK) for cell in moved["Random"]))
    masks, alone = (of_data(*zip((RANDOM, ERK), _COPIED[kind], strict=True)) for kind in _COPIED)
    return (
        Claim(f"{title}: redistribution over RigL", _MOVING, "6.2", improves),
        Claim(f"{title}: redistribution not over RigL (ERK)", _MOVING, "6.2", improves_not, "not better"),
        Claim(
            f"{title}: redistribution from Random like RigL (ERK)",
            _BRIDGES,
            "6.2",
            bridges,
            "matches",
            MATCH_MARGIN,
            every=True,
        ),
        Claim(f"{title}: RigL over RigL from the masks of RigL-SM", _SUBPAR, "6.2", masks),
        Claim(f"{title}: RigL over RigL from the densities of RigL-SM", _SUBPAR, "6.2", alone, own=True),
        Claim(
            f"{title}: masks of RigL-SM like their densities alone",
            "in a manner similar to the Lottery Ticket Hypothesis",
            "6.2",
            of_data(*zip(_COPIED[""], _COPIED["densities of "], strict=True)),
            "matches",
            MATCH_MARGIN,
            every=True,
            own=True,
        ),
    )


# Section 6.2, Table 5: each data set has its own network, so each is judged alone. The last two of a data set are ours.
REDISTRIBUTION = _redistribution("cifar10", "CIFAR-10") + _redistribution("cifar100", "CIFAR-100")

_EQUAL_FLOPS = "Random initialization outperforms ERK initialization for a given training budget"
_EQUAL_COUNT = "ERK initialization outperforms Random initialization consistently for a given target parameter count"
_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
_BUDGETS = (0.1, 0.2, 0.5)


def equal_flops(erk: Mapping[tuple[str, float], float]) -> tuple[Claim, ...]:
    """Section 6.1, Figure 3, each data set alone; `erk`: by data and Random's density, ERK's that costs as much."""
    found = []
    for data in dict.fromkeys(data for data, _ in erk):
        budgets = {budget: density for (name, budget), density in erk.items() if name == data}
        pairs = tuple((Cell(*RANDOM, b, data=data), Cell(*ERK, d, data=data)) for b, d in budgets.items())
        found.append(Claim(f"{_TITLES[data]}: Random over ERK at equal FLOPs", _EQUAL_FLOPS, "6.1", pairs))
    return tuple(found)


# Section 6.1: the other half of the sentence, from the runs of Tables 2 and 3.
EQUAL_COUNT = tuple(
    Claim(
        f"{title}: ERK over Random at equal density",
        _EQUAL_COUNT,
        "6.1",
        tuple((Cell(*ERK, d, data=data), Cell(*RANDOM, d, data=data)) for d in _BUDGETS),
        every=True,
    )
    for data, title in _TITLES.items()
)
