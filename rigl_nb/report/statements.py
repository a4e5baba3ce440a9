"""The report's claims, section by section: what it says, and which cells that compares."""

from collections.abc import Mapping
from dataclasses import replace

from rigl_nb.report.claims import MATCH_MARGIN, Cell, Claim


def _pairs(left: tuple, right: tuple, densities: tuple[float, ...] = (0.1, 0.2)) -> tuple:
    # left and right: (method, init[, multiplier])
    return tuple((_cell(*left, density=d), _cell(*right, density=d)) for d in densities)


def _cell(method: str, init: str | None, multiplier: int = 1, *, density: float) -> Cell:
    return Cell(method, init, density, multiplier)


_RANDOM, _ERK = ("RigL", "Random"), ("RigL", "ERK")
_RANDOM_2, _ERK_2 = (*_RANDOM, 2), (*_ERK, 2)
_SET_RANDOM, _SET_ERK = ("SET", "Random"), ("SET", "ERK")
_SNFS_RANDOM, _SNFS_ERK = ("SNFS", "Random"), ("SNFS", "ERK")
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
        _pairs(_RANDOM, _SET_RANDOM, _ALL) + _pairs(_ERK, _SET_ERK, _ALL),
    ),
    Claim("SET over Static", _SET_IMPROVES, "5.1", _pairs(_SET_RANDOM, ("Static", "Random"))),
    Claim("SET over Small-Dense", _SET_IMPROVES, "5.1", _pairs(_SET_RANDOM, ("Small-Dense", None))),
    Claim("RigL over SET", _GRADIENTS, "5.1", _pairs(_RANDOM, _SET_RANDOM) + _pairs(_ERK, _SET_ERK)),
    Claim("SNFS over SET", _GRADIENTS, "5.1", _pairs(_SNFS_RANDOM, _SET_RANDOM) + _pairs(_SNFS_ERK, _SET_ERK)),
    Claim("SNFS over RigL", _SNFS, "5.1", _pairs(_SNFS_RANDOM, _RANDOM)),
    Claim("ERK over Random", _INITIALIZATION, "5.1", _pairs(_ERK, _RANDOM) + _pairs(_SET_ERK, _SET_RANDOM)),
    Claim("RigL 2× over RigL", _LONGER, "5.1", _pairs(_RANDOM_2, _RANDOM) + _pairs(_ERK_2, _ERK)),
    Claim("RigL 2× (ERK) over Pruning", _EXCEEDS, "5.1", _pairs(_ERK_2, ("Pruning", None), (0.1,))),
    Claim("RigL at 0.5 as good as Dense", _BASELINE, "5.1", _AT_HALF, "matches", MATCH_MARGIN),
)

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
    def pairs(*sides: tuple[tuple, tuple]) -> tuple:
        found = (pair for left, right in sides for pair in _pairs(left, right))
        return tuple((replace(left, data=data), replace(right, data=data)) for left, right in found)

    moved = {init: [(method, init) for method in ("RigL-SG", "RigL-SM")] for init in ("Random", "ERK")}
    improves = pairs(*((cell, _RANDOM) for cell in moved["Random"]))
    improves_not = pairs(*((_ERK, cell) for cell in moved["ERK"]))
    bridges = pairs(*((cell, _ERK) for cell in moved["Random"]))
    masks, alone = (pairs(*zip((_RANDOM, _ERK), _COPIED[kind], strict=True)) for kind in _COPIED)
    return (
        Claim(f"{title}: redistribution over RigL", _MOVING, "6.2", improves),
        Claim(
            f"{title}: RigL (ERK) as good as with redistribution",
            _MOVING,
            "6.2",
            improves_not,
            "at least matches",
            MATCH_MARGIN,
        ),
        Claim(
            f"{title}: redistribution from Random like RigL (ERK)", _BRIDGES, "6.2", bridges, "matches", MATCH_MARGIN
        ),
        Claim(f"{title}: RigL over RigL from the masks of RigL-SM", _SUBPAR, "6.2", masks),
        Claim(f"{title}: RigL over RigL from the densities of RigL-SM", _SUBPAR, "6.2", alone),
        Claim(
            f"{title}: masks of RigL-SM like their densities alone",
            "in a manner similar to the Lottery Ticket Hypothesis",
            "6.2",
            pairs(*zip(_COPIED[""], _COPIED["densities of "], strict=True)),
            "matches",
            MATCH_MARGIN,
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
        pairs = tuple((Cell(*_RANDOM, b, data=data), Cell(*_ERK, d, data=data)) for b, d in budgets.items())
        found.append(Claim(f"{_TITLES[data]}: Random over ERK at equal FLOPs", _EQUAL_FLOPS, "6.1", pairs))
    return tuple(found)


# Section 6.1: the other half of the sentence, from the runs of Tables 2 and 3.
EQUAL_COUNT = tuple(
    Claim(
        f"{title}: ERK over Random at equal density",
        _EQUAL_COUNT,
        "6.1",
        tuple((Cell(*_ERK, d, data=data), Cell(*_RANDOM, d, data=data)) for d in _BUDGETS),
    )
    for data, title in _TITLES.items()
)

# Section 4, Table 1: trained on all 50,000 images. The right cell is the original paper's number, one value without
# a spread: rows of `data` ORIGINAL hold it.
ORIGINAL = "original"
_OF_TABLE1 = (("Static", "ERK"), ("Pruning", None), _ERK)
_TABLE1 = (Cell("Dense"), *(_cell(*row, density=d) for row in _OF_TABLE1 for d in _BUDGETS))
SETTINGS = (
    Claim(
        "RigL (ERK) like the original",
        "We reproduce RigL's performance on CIFAR-10 within 0.1% of the reported value",
        "summary",
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
