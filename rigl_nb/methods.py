"""The training methods: each is a choice of when, how many and which connections move, from the same pieces.

When: every ΔT iterations, as long as there is something to move. How many: a share of each layer, the same number
grown as dropped unless a statistic shares them out anew; or, under Pruning, what a schedule asks for. Which: the
smallest weights go, the largest scores come. RigL differs from SET by one score. A method of your own is one
`register(replace(RIGL, name=..., growth=...))` away, and is then allowed in a `RunSpec` and a `Sparsifier`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rigl_nb import checks


@dataclass(frozen=True)
class Layer:
    """What an update sees of one layer: tensors of the weight's shape; `grad` is the batch's dense gradient."""

    weight: Tensor
    grad: Tensor
    mask: Tensor
    state: Mapping[str, Tensor]  # what the optimizer holds of the weight

    @property
    def momentum(self) -> Tensor:
        """SGD's momentum, Adam's m/(√v + 1e-8); 0 before the optimizer's first step."""
        if "exp_avg" in self.state:
            return self.state["exp_avg"] / (self.state["exp_avg_sq"].sqrt() + 1e-8)
        momentum = self.state.get("momentum_buffer")
        return torch.zeros_like(self.weight) if momentum is None else momentum


Score = Callable[[Layer, torch.Generator], Tensor]  # -> a number for every entry, the larger the better


def gradient_magnitude(layer: Layer, generator: torch.Generator) -> Tensor:
    """RigL's score: |dense gradient| of the current batch."""
    return layer.grad.abs()


def momentum_magnitude(layer: Layer, generator: torch.Generator) -> Tensor:
    """SNFS's score: |momentum|."""
    return layer.momentum.abs()


def uniform_random(layer: Layer, generator: torch.Generator) -> Tensor:
    """SET's score: uniform noise, so that growth is an exact count without preference."""
    return torch.rand(layer.grad.shape, device=generator.device, generator=generator).to(layer.grad.device)


def ranks_momentum(buffers: Collection[str]) -> bool:
    """Whether these buffers of an optimizer are a momentum that `Layer` knows."""
    return "momentum_buffer" in buffers or {"exp_avg", "exp_avg_sq"} <= set(buffers)


@dataclass(frozen=True)
class Method:
    """A way to train under a density budget; without `growth`, masks that start sparse are fixed."""

    name: str
    start: str = "sparse"  # masks at first: sparse by a distribution, dense (then pruned), parent (another run's), none
    growth: Score | None = None  # an update grows the entries of largest score
    share: Score | None = None  # its mean over the active entries says how many each layer grows; None: as it dropped
    dense_gradients: bool = False  # an update needs them, and its iteration costs more
    dense_momentum: bool = False  # every iteration does: momentum is kept of inactive weights too
    narrow: bool = False  # the budget thins the channels, not the weights

    @property
    def masked(self) -> bool:
        """Whether there are masks."""
        return self.start != "none"

    @property
    def moves(self) -> bool:
        """Whether masks change."""
        return self.growth is not None or self.start == "dense"

    @property
    def needs_momentum(self) -> bool:
        """Whether a rule ranks by momentum."""
        return momentum_magnitude in (self.growth, self.share)


METHODS: dict[str, Method] = {}


def register(method: Method) -> Method:
    """Make a method known by its name; ValueError where the name is taken."""
    if method.name in METHODS:
        raise ValueError(f"method {method.name!r} exists already")
    METHODS[method.name] = method
    return method


def get(name: str) -> Method:
    """The method of that name; ValueError names those that exist."""
    checks.choice("method", name, METHODS)
    return METHODS[name]


register(Method("Dense", start="none"))
register(Method("Small-Dense", start="none", narrow=True))
register(Method("Static"))
SET = register(Method("SET", growth=uniform_random))
SNFS = register(Method("SNFS", growth=momentum_magnitude, share=momentum_magnitude, dense_momentum=True))
RIGL = register(replace(SET, name="RigL", growth=gradient_magnitude, dense_gradients=True))
RIGL_SG = register(replace(RIGL, name="RigL-SG", share=gradient_magnitude))
RIGL_SM = register(replace(RIGL, name="RigL-SM", share=momentum_magnitude))
PRUNING = register(Method("Pruning", start="dense"))
LOTTERY = register(Method("Lottery", start="parent"))
BUILT_IN = frozenset(METHODS)  # known in every process
