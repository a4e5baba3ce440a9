"""Masks that move while a model trains: when, how many and which connections, as a method says."""

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from rigl_nb import checks, masks, methods
from rigl_nb.masking.masked import Masked
from rigl_nb.schedules import drop_fraction, pruning_sparsity


class Moving(Masked):
    """`Masked` with a method: an update drops and grows connections."""

    method: methods.Method
    iteration: int  # counts from 0
    density: float
    alpha: float
    delta_t: int
    t_end: int | None
    prune_start: int
    generator: torch.Generator  # of random growth
    told: set[str]  # layers that somebody was warned of
    carry: dict[str, float]  # fractions of a unit that updates left over, where the structure carries them

    def check(self) -> None:
        """Refuse what would only fail, or mislead, in the middle of a training."""
        if self.method.moves:
            checks.within("alpha", self.alpha, 0, 1, low_closed=True, high_closed=True)
            checks.at_least("delta_t", self.delta_t, 1)
            what = f"method {self.method.name} needs the iteration at which updates end, floor(0.75 · all) in the paper"
            checks.at_least("t_end", self.t_end, 0, what)
            if self.method.growth and self.delta_t > self.t_end:
                warnings.warn(f"delta_t {self.delta_t} is beyond t_end {self.t_end}: masks never change", stacklevel=4)
        if self.method.narrow and self.density != 1:
            raise ValueError(f"density {self.density} is not allowed: build the model with √density times the channels")
        if self.method.start == "dense":
            checks.within("density", self.density, 0, 1, high_closed=True)
            checks.at_least("prune_start", self.prune_start, 0)
            checks.within("prune_start", self.prune_start, 0, self.t_end, low_closed=True, high_closed=True)

    @property
    def update_due(self) -> bool:
        """Whether this iteration updates the masks: t = ΔT−1, 2ΔT−1, … < T_end; under Pruning once more after it."""
        if not self.method.moves or self.iteration % self.delta_t != self.delta_t - 1:
            return False
        if self.method.start == "dense":
            return self.prune_start <= self.iteration < self.t_end + self.delta_t
        return self.iteration < self.t_end

    @property
    def drop_fraction(self) -> float:
        """The share of connections that an update at this iteration would replace; 0 where nothing grows."""
        return drop_fraction(self.iteration, self.alpha, self.t_end) if self.method.growth else 0.0

    @property
    def moving(self) -> list[str]:
        """Layers that have a gradient; an update leaves the others as they are."""
        return [name for name, weight in self.weights.items() if weight.grad is not None and weight.requires_grad]

    @torch.no_grad()
    def update(self) -> None:
        """Move connections: the method says how many and which."""
        self.whole("an update of the masks")
        moving = self.moving
        if still := self.weights.keys() - moving - self.told:
            warnings.warn(f"no gradient, so their masks stay: {', '.join(sorted(still))}", stacklevel=4)
            self.told |= still
        if moving:
            self._prune(moving) if self.method.start == "dense" else self._rewire(moving)

    def _rewire(self, moving: Sequence[str]) -> None:
        """Drop a share of every layer by magnitude; grow by the method's score as many, or as many as it shares out."""
        layers = self.layers(moving)
        quotas = self.quotas()
        kept, dropped = self.drop(layers)
        grown = self.grown(layers, dropped)
        for name, layer in layers.items():
            new = self.grow(name, self._values(self.method.growth, layer), kept[name], grown[name])
            self.move(name, new, self.active[name] + grown[name] - dropped[name])
            if self.structure.carries:
                self.carry[name] = quotas[name] - dropped[name]
        self.resting.restore()

    def layers(self, moving: Sequence[str]) -> dict[str, methods.Layer]:
        """What the rules see of these layers."""
        weights, states = self.weights, self.optimizer.state
        return {
            n: methods.Layer(weights[n], weights[n].grad, self.masks[n], states.get(weights[n], {})) for n in moving
        }

    def _values(self, score: methods.Score, layer: methods.Layer) -> Tensor:
        values, wanted = score(layer, self.generator), tuple(layer.weight.shape)
        if tuple(getattr(values, "shape", ())) != wanted:
            raise ValueError(f"a score of method {self.method.name} is not allowed: it must give numbers {wanted}")
        return values

    def dropped(self) -> dict[str, int]:
        """How many units an update at this iteration drops in each pool; of single weights, in each layer."""
        return {name: math.floor(quota) for name, quota in self.quotas().items()}

    def quotas(self) -> dict[str, float]:
        """The same, before it is made whole."""
        given = ((name, self.drop_fraction, mask, self.active[name]) for name, mask in self.masks.items())
        return {name: self.structure.quota(name, *rest, self.carry.get(name, 0.0)) for name, *rest in given}

    def drop(self, layers: dict[str, methods.Layer]) -> tuple[dict[str, Tensor], dict[str, int]]:
        """The masks without the smallest active weights, and how many connections each of them has lost."""
        dropped = {name: count for name, count in self.dropped().items() if name in layers}
        drop = self.structure.drop
        return {name: drop(name, layer.weight, layer.mask, dropped[name]) for name, layer in layers.items()}, dropped

    def grow(self, name: str, score: Tensor, kept: Tensor, count: int) -> Tensor:
        """The mask of a layer with as many connections more, those of largest score."""
        return self.structure.grow(name, score, kept, count)

    def grown(self, layers: dict[str, methods.Layer], dropped: dict[str, int]) -> dict[str, int]:
        """How many each layer grows: its own, or a share by the method's statistic, its mean over active entries."""
        if not self.method.share:
            return dropped
        sums = [torch.where(layer.mask, self._values(self.method.share, layer), 0).sum() for layer in layers.values()]
        totals = torch.stack(sums).float().nan_to_num().tolist()  # finite, and their sum too
        statistics = [total / max(self.active[name], 1) for name, total in zip(layers, totals, strict=True)]
        room = [layer.mask.numel() - self.active[name] + dropped[name] for name, layer in layers.items()]
        return dict(zip(layers, self.shares(list(dropped.values()), statistics, room), strict=True))

    def shares(self, dropped: Sequence[int], statistics: Sequence[float], room: Sequence[int]) -> list[int]:
        """The dropped total, shared by the statistics."""
        return masks.redistribute(dropped, statistics, room)

    def _prune(self, moving: Sequence[str]) -> None:
        """Keep the largest weights of all layers together, as many as the schedule leaves."""
        size = sum(mask.numel() for mask in self.masks.values())
        sparsity = pruning_sparsity(self.iteration, self.prune_start, self.t_end, 1 - self.density)
        keep = math.floor(round((1 - sparsity) * size, 6) + 0.5)
        keep -= sum(active for name, active in self.active.items() if name not in moving)
        new = masks.global_magnitude([self.weights[n] for n in moving], [self.masks[n] for n in moving], max(keep, 0))
        active = torch.stack([mask.sum() for mask in new]).tolist()
        for name, mask, count in zip(moving, new, active, strict=True):
            self.move(name, mask, count)
