"""What moves as one: single weights, kernels, channels; and where as many of them have to stay active.

A structure cuts a weight into pools, and each of these into units of as many entries. A unit is active or not as a
whole, all pools of a layer have as many active units, and an update moves as many in each: it drops those of smallest
mean |w|, and grows those of largest mean score. Masks stay boolean tensors of the weight's shape. `weight` is the
report's: a layer is one pool, an entry a unit. The report's authors tried kernels, and published no number.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from rigl_nb import masks, methods
from rigl_nb.distributions import counts

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Units:
    """How one weight is cut: `sides`, its own cut further, in the `order` that numbers pools, units, then entries."""

    shape: tuple[int, ...]
    sides: tuple[int, ...]
    order: tuple[int, ...]
    pools: int
    size: int  # units of a pool

    @property
    def entries(self) -> int:
        """Of a unit."""
        return math.prod(self.shape) // (self.pools * self.size)

    def cut(self, values: Tensor) -> Tensor:
        """Numbers of the weight's shape as (pools, units, entries)."""
        return values.reshape(self.sides).permute(self.order).reshape(self.pools, self.size, self.entries)

    def scores(self, values: Tensor) -> Tensor:
        """The mean of each unit, (pools, units)."""
        return self.cut(values if values.is_floating_point() else values.float()).mean(-1)

    def active(self, mask: Tensor) -> Tensor:
        """Which units a mask of whole ones leaves, (pools, units)."""
        return self.cut(mask)[..., 0]

    def mask(self, active: Tensor) -> Tensor:
        """The mask of the weight's shape that leaves these units."""
        sides = [self.sides[side] for side in self.order]
        back = sorted(range(len(sides)), key=self.order.__getitem__)
        whole = active[..., None].expand(self.pools, self.size, self.entries)
        return whole.reshape(sides).permute(back).reshape(self.shape)


@dataclass(frozen=True)
class Structure:
    """Single weights, anywhere in their layer; and what all structures offer to a `Sparsifier`."""

    name: ClassVar[str] = "weight"
    uniform: ClassVar[bool] = False  # all layers have one density: there is no distribution to choose
    carries: ClassVar[bool] = False  # pools are small: an update hands its fraction of a unit on to the next one
    dense_first: ClassVar[bool] = True  # under Random
    sizes: ClassVar[Mapping[str, int]] = {}  # of layers beyond the masked ones that have a density

    def check(self, method: methods.Method, init: object, density: float) -> None:
        """Refuse a method, a distribution or a density that the structure cannot have."""

    def on(self, model: nn.Module, weights: Mapping[str, nn.Parameter]) -> "Structure":
        """The structure on this model's `weights`; ValueError where it cannot be."""
        return self

    def covered(self, weights: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
        """The weights that get masks; the others stay dense."""
        return dict(weights)

    def densities(self, distribution: Callable, shapes: dict[str, tuple[int, ...]], density: float) -> dict[str, float]:
        """The share of each layer that is active at first."""
        return distribution(shapes, density)

    def draw(self, shapes: dict, densities: Mapping[str, float], rng: np.random.Generator) -> dict[str, Tensor]:
        """The first masks: exact counts, drawn uniformly."""
        active = counts(shapes, densities)
        return {name: masks.random_mask(shape, active[name], rng) for name, shape in shapes.items()}

    def fit(self, given: Mapping[str, Tensor]) -> None:
        """Refuse masks that do not have the structure."""

    def quota(self, name: str, fraction: float, mask: Tensor, active: int, carried: float) -> float:
        """How many units of a pool an update moves, when the fraction of the last one is added."""
        return fraction * active

    def drop(self, name: str, weight: Tensor, mask: Tensor, count: int) -> Tensor:
        """The mask without the `count` smallest units of each pool."""
        return masks.drop(weight, mask, count)

    def grow(self, name: str, score: Tensor, kept: Tensor, count: int) -> Tensor:
        """`kept` and the `count` units of largest score of each pool, the just-dropped included."""
        return masks.grow(score, kept, count)

    def rows(self, model: nn.Module) -> dict[str, list[nn.Module]]:
        """By masked layer: modules of whose tensors row j rests while the layer's unit j is inactive."""
        return {}

    def counts(self, active: Mapping[str, int]) -> dict[str, int]:
        """Weights that take part, by layer, of masks with so many active entries."""
        return dict(active)


def movable(method: methods.Method) -> bool:
    """Whether a structure other than `weight` goes with the method."""
    return method.start == "sparse" and method.share is None and not method.dense_momentum


@dataclass(frozen=True)
class Grouped(Structure):
    """A structure of units that have several entries, or pools that have their own counts."""

    def units(self, name: str, shape: tuple[int, ...]) -> Units:
        """How the weight of a layer is cut."""
        raise NotImplementedError

    def check(self, method: methods.Method, init: object, density: float) -> None:
        """Refuse a method that moves weights between layers, and a distribution where there is none to choose."""
        if not movable(method):
            known = ", ".join(name for name, other in methods.METHODS.items() if movable(other))
            why = "which moves in each layer as many as it drops, from a sparse start"
            raise ValueError(f"method {method.name} is not allowed with structure {self.name}: take one {why}: {known}")
        if self.uniform and init != "Random" and not isinstance(init, Mapping):
            raise ValueError(
                f"init {init!r} is not allowed with structure {self.name}, one density in all: take 'Random'"
            )

    def on(self, model: nn.Module, weights: Mapping[str, nn.Parameter]) -> "Structure":
        """The structure on this model's weights; ValueError for a transposed convolution, whose rows are inputs."""
        for path, module in model.named_modules():
            if isinstance(module, TRANSPOSED) and f"{path}.weight" in weights:
                raise ValueError(f"layer {path!r} is not allowed with structure {self.name}: exclude it")
        if not self.covered(weights):
            raise ValueError(f"structure {self.name} fits no layer: the layers are {', '.join(weights)}")
        return self

    def draw(self, shapes: dict, densities: Mapping[str, float], rng: np.random.Generator) -> dict[str, Tensor]:
        """The first masks: Σ units of a pool over the layers is floor(Σ size·density + ½), by largest remainder."""
        cut = {name: self.units(name, shape) for name, shape in shapes.items()}
        active, found = counts({name: (units.size,) for name, units in cut.items()}, densities), {}
        for name, units in cut.items():
            ranks = rng.random((units.pools, units.size)).argsort(1).argsort(1)
            found[name] = units.mask(torch.from_numpy(ranks < active[name]))
        return found

    def fit(self, given: Mapping[str, Tensor]) -> None:
        """Refuse masks of which a unit is cut, or pools have different counts."""
        for name, mask in given.items():
            cut = self.units(name, tuple(mask.shape)).cut(mask)
            per_pool = cut[..., 0].sum(1)
            if not ((cut == cut[..., :1]).all() and (per_pool == per_pool[0]).all() and self.fits(int(per_pool[0]))):
                raise ValueError(f"the mask {name!r} is not allowed: it does not have structure {self.name}")

    def live(self, name: str, mask: Tensor) -> Tensor:
        """Which units a mask leaves, (pools, units)."""
        return self.units(name, tuple(mask.shape)).active(mask)

    def fits(self, count: int) -> bool:
        """Whether a pool may have so many active units."""
        return True

    def quota(self, name: str, fraction: float, mask: Tensor, active: int, carried: float) -> float:
        """How many units of a pool an update moves: f·n, and what the last one left over where pools are small."""
        units = self.units(name, tuple(mask.shape))
        moved = fraction * (active // (units.pools * units.entries))
        return round(moved + carried, 6) if self.carries else moved

    def drop(self, name: str, weight: Tensor, mask: Tensor, count: int) -> Tensor:
        """The mask without the `count` units of smallest mean |w| of each pool."""
        units = self.units(name, tuple(mask.shape))
        return units.mask(masks.drop(units.scores(weight.abs()), units.active(mask), count, units.pools))

    def grow(self, name: str, score: Tensor, kept: Tensor, count: int) -> Tensor:
        """`kept` and the `count` units of largest mean score of each pool."""
        units = self.units(name, tuple(kept.shape))
        return units.mask(masks.grow(units.scores(score), units.active(kept), count, units.pools))
