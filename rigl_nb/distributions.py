"""How a density budget is spread over layers: Uniform, Erdős-Rényi and Erdős-Rényi-Kernel.

`shapes` maps a layer's name to its weight's shape, (c_out, c_in, h, w) or (out, in). Only the layers that the
scheme covers are in it: under Uniform ("Random" in the report's tables) the first layer is left out and dense. No layer
at all raises ValueError, and so does a density that is not above 0 and at most 1.
"""

import math
from collections.abc import Callable, Hashable, Mapping

from rigl_nb import checks

Shapes = dict[str, tuple[int, ...]]


def uniform(shapes: Shapes, density: float) -> dict[str, float]:
    """Every layer at the same density (report, section 3: Uniform)."""
    _check(shapes, density)
    return dict.fromkeys(shapes, float(density))


def erdos_renyi(shapes: Shapes, density: float) -> dict[str, float]:
    """Density in proportion to (c_in + c_out) / (c_in · c_out), kernel sizes ignored (Mocanu et al. 2018)."""
    return _scaled({name: sum(s[:2]) / math.prod(s[:2]) for name, s in shapes.items()}, shapes, density)


def erdos_renyi_kernel(shapes: Shapes, density: float, exponent: float = 1.0) -> dict[str, float]:
    """Density in proportion to (c_in + c_out + h + w) / (c_in · c_out · h · w) (Evci et al. 2020, section 3).

    `exponent`: a power of that ratio, from 0, the same density in every layer, over 1 to more extreme ones.
    """
    return _scaled({name: (sum(s) / math.prod(s)) ** exponent for name, s in shapes.items()}, shapes, density)


DISTRIBUTIONS: dict[str, Callable[[Shapes, float], dict[str, float]]] = {
    "Random": uniform,
    "ER": erdos_renyi,
    "ERK": erdos_renyi_kernel,
}


def counts(shapes: Shapes, densities: dict[str, float]) -> dict[str, int]:
    """Active weights per layer: integers whose sum is floor(Σ n·d + ½); ValueError for no density between 0 and 1."""
    for name in shapes:
        value = densities.get(name) if isinstance(densities, Mapping) else densities
        checks.within(f"density of layer {name!r}", value, 0, 1, low_closed=True, high_closed=True)
    return whole({name: math.prod(shape) * densities[name] for name, shape in shapes.items()})


def whole(quotas: dict[Hashable, float]) -> dict[Hashable, int]:
    """Integers whose sum is floor(Σ quotas + ½), by largest remainder; of equal remainders the earlier gets more.

    Quotas are rounded to 1e-6 of a weight first, so that the last bit of a float decides neither a tie nor the total.
    """
    total = math.floor(round(math.fsum(quotas.values()), 6) + 0.5)
    floors = {name: math.floor(round(quota, 6)) for name, quota in quotas.items()}
    remainders = {name: round(round(quota, 6) - floors[name], 6) for name, quota in quotas.items()}
    largest = sorted(quotas, key=remainders.get, reverse=True)  # stable, also in reverse
    for name in largest[: total - sum(floors.values())]:
        floors[name] += 1
    return floors


def _scaled(raw: dict[str, float], shapes: Shapes, density: float) -> dict[str, float]:
    """Scale `raw` to the budget; a layer that would exceed density 1 becomes dense, and the rest is solved again."""
    _check(shapes, density)
    if density == 1:
        return dict.fromkeys(shapes, 1.0)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    budget = float(density) * sum(sizes.values())
    free = dict(raw)
    while free:
        dense = sum(size for name, size in sizes.items() if name not in free)
        epsilon = (budget - dense) / math.fsum(free[name] * sizes[name] for name in free)
        largest = max(free.values())
        if epsilon * largest <= 1:
            break
        free = {name: value for name, value in free.items() if value < largest}
    return {name: epsilon * free[name] if name in free else 1.0 for name in shapes}


def _check(shapes: Shapes, density: float) -> None:
    if not shapes:
        raise ValueError("no layer to mask: the model has no convolution or linear layer that the scheme covers")
    checks.within("density", density, 0, 1, high_closed=True)
