"""The structures by name; and those that a weight's shape alone defines: kernels, fan-in, two of four."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from rigl_nb import checks, masks, methods
from rigl_nb.masking.channels import Channel
from rigl_nb.masking.structures import Grouped, Structure, Units


@dataclass(frozen=True)
class Kernel(Grouped):
    """Whole kernels, each from one input channel to one output channel: of a linear layer, single weights."""

    name: ClassVar[str] = "kernel"

    def units(self, name: str, shape: tuple[int, ...]) -> Units:
        """A layer is one pool."""
        size = math.prod(shape[:2])
        return Units(shape, (size, math.prod(shape) // size), (0, 1), 1, size)

    def on(self, model: nn.Module, weights: Mapping[str, nn.Parameter]) -> "Structure":
        """The structure on any model: it does not ask which side the inputs are on."""
        return self


@dataclass(frozen=True)
class FanIn(Grouped):
    """Single weights, as many in every row: each output has one number of inputs (Lasby et al. 2024)."""

    name: ClassVar[str] = "fan-in"
    carries: ClassVar[bool] = True

    def units(self, name: str, shape: tuple[int, ...]) -> Units:
        """A row is a pool."""
        sides = (shape[0], math.prod(shape[1:]))
        return Units(shape, sides, (0, 1), *sides)

    def draw(self, shapes: dict, densities: Mapping[str, float], rng: np.random.Generator) -> dict[str, Tensor]:
        """The first masks; warns where a whole number in each row is far from what was asked for."""
        found = super().draw(shapes, densities, rng)
        size = sum(math.prod(shape) for shape in shapes.values())
        share = sum(int(mask.sum()) for mask in found.values()) / size
        asked = sum(densities[name] * math.prod(shape) for name, shape in shapes.items()) / size
        if abs(share - asked) > 0.05 * asked:
            what = f"density {share:.4f} in the place of {asked:.4f}"
            warnings.warn(f"structure fan-in gives {what}: a whole number in each row", stacklevel=5)
        return found


@dataclass(frozen=True)
class TwoOfFour(Grouped):
    """Two of each four consecutive inputs, at one place of the kernel, as GPUs' sparse tensor cores want them.

    An update exchanges at most one weight of a four: the smallest |w| of its active ones for the largest score of the
    rest, the dropped one included; in the k = floor(f · active) fours in which that |w| is smallest. A layer whose
    inputs are no multiple of four stays dense.
    """

    name: ClassVar[str] = "2:4"
    uniform: ClassVar[bool] = True

    def units(self, name: str, shape: tuple[int, ...]) -> Units:
        """Four inputs are a pool."""
        sides = (shape[0], shape[1] // 4, 4, math.prod(shape[2:]))
        return Units(shape, sides, (0, 1, 3, 2), math.prod(shape) // 4, 4)

    def check(self, method: methods.Method, init: object, density: float) -> None:
        """Refuse what the structure cannot have: any density but one half, too."""
        super().check(method, init, density)
        if density != 0.5 and not isinstance(init, Mapping):
            raise ValueError(f"density {density} is not allowed with structure 2:4: it keeps one half, 0.5")

    def covered(self, weights: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
        """The weights whose inputs come in fours."""
        return {name: weight for name, weight in weights.items() if weight.shape[1] % 4 == 0}

    def fits(self, count: int) -> bool:
        """Two, neither more nor less."""
        return count == 2

    def quota(self, name: str, fraction: float, mask: Tensor, active: int, carried: float) -> float:
        """How many fours of the layer exchange a weight."""
        return min(fraction * active, mask.numel() // 4)

    def drop(self, name: str, weight: Tensor, mask: Tensor, count: int) -> Tensor:
        """The mask without the `count` smallest of those that are the smaller one of their four."""
        units = self.units(name, tuple(mask.shape))
        size, active = units.scores(weight.abs()), units.active(mask)
        smaller = active & ~masks.drop(size, active, 1, units.pools)
        return units.mask(active & ~smaller | masks.drop(size, smaller, count))

    def grow(self, name: str, score: Tensor, kept: Tensor, count: int) -> Tensor:
        """The mask with a second weight in each four that lost one."""
        units = self.units(name, tuple(kept.shape))
        active = units.active(kept)
        best = masks.grow(units.scores(score), active, 1, units.pools)
        return units.mask(torch.where(active.sum(1, keepdim=True) < 2, best, active))


STRUCTURES: dict[str, Structure] = {kind.name: kind() for kind in (Structure, Kernel, Channel, FanIn, TwoOfFour)}


def get(structure: str | Structure) -> Structure:
    """The structure of that name, or the one that is given; ValueError names those that exist."""
    if isinstance(structure, Structure):
        return structure
    checks.choice("structure", structure, STRUCTURES)
    return STRUCTURES[structure]
