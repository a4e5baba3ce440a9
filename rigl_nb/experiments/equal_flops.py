"""Which density costs what another distribution costs: equal FLOPs of a prediction, solved exactly."""

import functools
import math

from rigl_nb import data, flops, models
from rigl_nb.distributions import DISTRIBUTIONS, counts, erdos_renyi_kernel, uniform
from rigl_nb.experiments.profiles import Profile, Row


def matched(profile: Profile, name: str, budget: float, exponent: float = 1.0) -> float:
    """The density at which ERK's prediction costs what Random's does at density `budget`, to a millionth.

    In the network that the profile trains in place of the report's, with an exponent of ERK's ratio.
    """
    spec = profile.spec(Row("Dense", None, 1.0, data=name), seed=0)
    return _matched(spec.model, spec.data, budget, exponent)


@functools.cache
def layers(model: str, name: str) -> tuple[dict[str, tuple[int, ...]], dict[str, float]]:
    """Shapes of all layers of a network that can be masked, in its order, and their dense FLOPs; `name`: its data."""
    source = data.SOURCES[name]
    network = models.build(model, source.classes, channels=source.shape[0])
    shapes = {layer: tuple(weight.shape) for layer, weight in models.maskable(network).items()}
    return shapes, flops.layer_flops(network, source.example)


def inference(model: str, name: str, init: str, density: float) -> float:
    """FLOPs of a prediction, as a fraction of the dense network's, from the whole numbers of active weights."""
    shapes, cost = layers(model, name)
    covered = {layer: shapes[layer] for layer in list(shapes)[init == "Random" :]}  # Random: the first stays dense
    active = counts(covered, DISTRIBUTIONS[init](covered, density))
    return flops.weighted(cost, {k: active[k] / math.prod(s) for k, s in covered.items()}) / sum(cost.values())


@functools.cache
def _matched(model: str, name: str, budget: float, exponent: float) -> float:
    covered, cost = layers(model, name)
    random = dict(list(covered.items())[1:])  # its first layer stays dense
    low, high, target = 0.0, 1.0, flops.weighted(cost, uniform(random, budget))
    while high - low > 1e-9:  # the cost grows with the density
        middle = (low + high) / 2
        price = flops.weighted(cost, erdos_renyi_kernel(covered, middle, exponent))
        low, high = (middle, high) if price < target else (low, middle)
    return round(high, 6)
