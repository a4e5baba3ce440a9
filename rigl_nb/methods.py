"""The training methods: each says whether it masks, and which connections an update grows.

An update drops by magnitude, as all methods here do; RigL differs from SET by one score. A method of your own
is one `register(Method(...))` away, and is then allowed in a `RunSpec` and a `Sparsifier`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Score = Callable[[Tensor, torch.Generator], Tensor]  # (dense gradient, generator) -> score of every entry


@dataclass(frozen=True)
class Method:
    """A way to train under a density budget; without `growth` its mask is fixed."""

    name: str
    masked: bool = True
    growth: Score | None = None  # an update grows the entries of largest score
    dense_gradients: bool = False  # an update needs them, and its iteration costs more
    narrow: bool = False  # the budget thins the channels, not the weights


METHODS: dict[str, Method] = {}


def register(method: Method) -> Method:
    """Make a method known by its name."""
    if method.name in METHODS:
        raise ValueError(f"method {method.name!r} exists already")
    METHODS[method.name] = method
    return method


def get(name: str) -> Method:
    """The method of that name; ValueError names those that exist."""
    if name not in METHODS:
        raise ValueError(f"method {name!r} is unknown: allowed are {', '.join(METHODS)}")
    return METHODS[name]


def gradient_magnitude(grad: Tensor, generator: torch.Generator) -> Tensor:
    """RigL's score: |dense gradient| of the current batch."""
    return grad.abs()


def uniform_random(grad: Tensor, generator: torch.Generator) -> Tensor:
    """SET's score: uniform noise, so that growth is an exact count without preference."""
    return torch.rand(grad.shape, device=grad.device, generator=generator)


register(Method("Dense", masked=False))
register(Method("Small-Dense", masked=False, narrow=True))
register(Method("Static"))
SET = register(Method("SET", growth=uniform_random))
RIGL = register(replace(SET, name="RigL", growth=gradient_magnitude, dense_gradients=True))
