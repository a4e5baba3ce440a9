"""What the report says of costs and counts: true or not without any training, but for what records count themselves."""

import math
from collections.abc import Iterable, Iterator

from rigl_nb import flops, models
from rigl_nb.claims.fact import Fact
from rigl_nb.claims.own_costs import unmoved
from rigl_nb.data.sources import SOURCES
from rigl_nb.experiments import grids
from rigl_nb.experiments.equal_flops import inference, layers
from rigl_nb.methods import METHODS
from rigl_nb.runs.record import Record

NETWORKS = {"cifar10": "wrn-22-2", "cifar100": "resnet50"}
DENSITIES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
COUNTS = "by our runs' counts"
TOLERANCE = 0.01  # the printed costs have two decimals, and follow no single rule of rounding


def facts(records: Iterable[Record]) -> tuple[Fact, ...]:
    """All of them; `records` are runs whose counts are looked at."""
    return tuple(_facts(list(records)))


def _facts(records: list[Record]) -> Iterator[Fact]:
    def fact(name: str, quote: str, section: str, tested: str, answers: Iterable[bool], *rest: str) -> Fact:
        answers = list(answers)
        return Fact(name, quote, section, tested, sum(answers), len(answers), *rest)

    yield fact(
        "RigL's counts never change",
        "RigL can maintain a fixed computational cost and parameter count throughout training",
        "1",
        "runs that keep the number of active weights of every layer",
        [unmoved(r) for r in records if r.spec.method == "RigL" and not r.spec.published_code],
        "03",
        COUNTS,
    )
    yield fact(
        "Random's cost is linear in density",
        "Theoretical FLOP requirement for Random initialization scales linearly with density",
        "6.1",
        "densities of both networks, whose cost lies on the line within a thousandth",
        [_on_line(data, density) for data in NETWORKS for density in DENSITIES],
        "02",
    )
    yield fact(
        "ERK costs more than Random at equal density",
        "While ERK initialization outperforms Random initialization consistently for a given target parameter count, "
        "it requires a higher FLOP budget",
        "6.1",
        "densities of both networks",
        [_cost(d, "ERK", density) > _cost(d, "Random", density) for d in NETWORKS for density in DENSITIES],
        "02",
    )
    yield fact(
        "SNFS costs much more than RigL",
        "SNFS can outperform RigL, but requires a much larger training budget",
        "5.1",
        "trainings of both networks, at densities 0.1 and 0.2, that cost at least 1.5 times as much",
        [_dearer(data, init, density) for data in NETWORKS for init in ("Random", "ERK") for density in (0.1, 0.2)],
        "03",
    )
    yield fact(
        "printed costs follow from shapes",
        "We calculate theoretical FLOP requirements in a manner similar to Evci et al. [2020]",
        "5.1",
        f"printed costs of methods with constant layers, within {TOLERANCE:g} for the usual length",
        printed_costs(),
        "03",
    )


def _cost(data: str, init: str, density: float) -> float:
    return inference(NETWORKS[data], data, init, density)


def _on_line(data: str, density: float) -> bool:
    """Whether a cost lies on the line from that of the first layer, which stays dense, to that of the dense network."""
    cost = layers(NETWORKS[data], data)[1]
    first = next(iter(cost.values())) / sum(cost.values())
    return abs(_cost(data, "Random", density) - (first + density * (1 - first))) < 0.001


def _dearer(data: str, init: str, density: float) -> bool:
    f = _cost(data, init, density)
    return flops.train_fraction("SNFS", f) >= 1.5 * flops.train_fraction("RigL", f)


def printed_costs() -> Iterator[bool]:
    """Whether each printed cost agrees whose layers keep their density: Tables 2 and 3, training and test."""
    for name, data in {"table2_cifar10": "cifar10", "table3_cifar100": "cifar100"}.items():
        for row in grids.published(name).itertuples():
            found = _shapes(row.method, row.init, row.density, data)
            if found is not None:
                yield abs(found - row.test_flops) <= TOLERANCE
                train = row.multiplier * flops.train_fraction(row.method, found)
                yield abs(train - row.train_flops) <= TOLERANCE * row.multiplier


def _shapes(method: str, init: str | None, density: float, data: str) -> float | None:
    """Cost of a prediction where it follows from shapes alone, else None."""
    rule = METHODS[method]
    if rule.narrow:
        source = SOURCES[data]
        small = models.build(NETWORKS[data], source.classes, width=math.sqrt(density))
        return flops.inference_flops(small, source.example) / sum(layers(NETWORKS[data], data)[1].values())
    moves = rule.share or rule.start in ("dense", "parent")
    return None if moves or not rule.masked else _cost(data, init, density)
