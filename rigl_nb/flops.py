"""Theoretical cost: FLOPs of inference and training from layer shapes and densities (Evci et al. 2020, appendix H).

A multiply-add is two operations. Products count, those of layers and all others; biases, normalisation, additions,
pooling and softmax do not.
"""

from torch import nn

from rigl_nb import checks
from rigl_nb.models.products import OTHER, Example, layer_flops

__all__ = ["OTHER", "inference_flops", "layer_flops", "step_fraction", "train_fraction", "weighted"]


def inference_flops(model: nn.Module, example: Example, densities: dict[str, float] | None = None) -> float:
    """FLOPs per image: Σ over layers of 2·MAC·density; a layer that `densities` does not name is dense."""
    return weighted(layer_flops(model, example), densities or {})


def weighted(cost: dict[str, float], densities: dict[str, float]) -> float:
    """The cost of `layer_flops` at the given densities; a layer that is not named is dense."""
    if unknown := set(densities) - set(cost):
        raise ValueError(f"no layer is named {sorted(unknown)[0]!r}: the layers are {', '.join(cost)}")
    for name, density in densities.items():
        checks.within(f"density of layer {name!r}", density, 0, 1, low_closed=True, high_closed=True)
    return sum(flops * densities.get(name, 1.0) for name, flops in cost.items())


def step_fraction(inference_fraction: float, dense_gradients: bool) -> float:
    """Cost of one training iteration as a fraction of the dense one's (forward, two backward products).

    With dense weight gradients (an update of RigL) one of the three products is dense: (2f + 1)/3; else f. An update of
    hidden channels needs those of what reads them, and the features of all in place of the other gradients: as much, or
    less in a layer that does both.
    """
    return (2 * inference_fraction + 1) / 3 if dense_gradients else inference_fraction


def train_fraction(
    method: str, inference_fraction: float, delta_t: int = 100, mean_fraction: float | None = None
) -> float:
    """Closed formula of training FLOPs as a fraction of dense training (the report's tables; Evci et al., appendix H).

    Static, SET: f. RigL, RigL-SG, RigL-SM: f + (1 − f)/(3(ΔT + 1)), one iteration in ΔT + 1 with dense gradients.
    SNFS: (2f + 1)/3. Pruning: the mean of f over time. Lottery: Pruning's and f once more. `mean_fraction` is f's mean
    over time where it moves; without it f stands for it, but for Pruning and Lottery.
    """
    f = inference_fraction
    mean = f if mean_fraction is None else mean_fraction
    if method in ("Dense", "Small-Dense", "Static", "SET"):
        return f
    if method in ("RigL", "RigL-SG", "RigL-SM"):
        return mean + (1 - mean) / (3 * (delta_t + 1))
    if method == "SNFS":
        return step_fraction(mean, dense_gradients=True)
    if method not in ("Pruning", "Lottery"):
        raise ValueError(f"no formula for method {method!r}: known are the methods of the report's tables")
    if mean_fraction is None:
        raise ValueError(f"mean_fraction is missing: the cost of {method} is the mean of f over its pruning")
    return mean if method == "Pruning" else mean + f
