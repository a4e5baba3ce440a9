"""What the report's published code does otherwise than the rules: imitated, to measure what that changes.

Only a run that names a behaviour (`RunSpec.published_code`) comes here; `Sparsifier` does not know of them.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean

import torch
from torch import Tensor

from rigl_nb import checks, masks, methods, schedules
from rigl_nb.sparsifier import Sparsifier

BEHAVIOURS = {
    "zero-regrown": "a connection that is dropped and grown again starts at 0, in dense layers too",
    "ceil": "the number of dropped connections is rounded up",
    "spared-layers": "a layer of sparsity below 0.2 with more weights other than 0 than the average drops at most that "
    "share",
    "bernoulli": "first masks, and SET's growth, are drawn weight by weight: their counts vary",
    "shared-error": "SET grows in each layer as many more as the whole network lacks (an older version of the code)",
    "late-rate": "an update drops the fraction of the iteration before it",
    "zero-ties": "weights of exactly 0 count as inactive ones when dropping, so more than asked may go; and active "
    "connections as candidates of gradient 0 when growing, so fewer may come",
    "capped-shares": "redistribution fills no layer beyond 0.99 of its room, and cuts fractions of a weight off",
    "signed-kernels": "structure kernel ranks by |mean w| and |mean g|, in which signs cancel",
}


class PublishedCode(Sparsifier):
    """A `Sparsifier` with some of the `BEHAVIOURS`."""

    def __init__(self, *arguments, behaviours: Iterable[str], **options):
        self.behaviours = frozenset(behaviours)
        for name in sorted(self.behaviours):
            checks.choice("behaviour", name, BEHAVIOURS)
        super().__init__(*arguments, **options)
        check_structure(self.structure.name, self.behaviours)
        self.first, self.errors, self._chosen = sum(self.active.values()), [], {}

    @property
    def drop_fraction(self) -> float:
        """The share of connections that an update replaces; its own iteration does not move the schedule."""
        if "late-rate" not in self.behaviours or not self.method.growth:
            return super().drop_fraction
        return schedules.drop_fraction(max(self.iteration - 1, 0) if self.delta_t > 1 else 0, self.alpha, self.t_end)

    def update(self) -> None:
        """Update the masks; then wipe what was grown, and note how many connections are missing by now."""
        self._chosen = {}
        super().update()
        if "zero-regrown" in self.behaviours and self.method.growth is not methods.momentum_magnitude:
            for name, chosen in self._chosen.items():
                self.weights[name].data.masked_fill_(chosen, 0)
        self.errors.append(self.first - sum(self.active.values()))

    def layers(self, moving: Sequence[str]) -> dict[str, methods.Layer]:
        """What the rules see of these layers."""
        found = super().layers(moving)
        if "signed-kernels" not in self.behaviours:
            return found
        return {n: replace(one, weight=averaged(one.weight), grad=averaged(one.grad)) for n, one in found.items()}

    def quotas(self) -> dict[str, float]:
        """How much of each layer is to go, before it is made whole."""
        found = super().quotas()
        if "spared-layers" in self.behaviours:
            sizes = {name: int(torch.count_nonzero(weight)) for name, weight in self.weights.items()}
            mean = fmean(sizes.values())
            for name, active in self.active.items():
                sparsity = 1 - active / self.masks[name].numel()
                if sparsity < 0.2 and sizes[name] > mean:
                    found[name] = min(found[name], sparsity * active)
        return found

    def dropped(self) -> dict[str, int]:
        """How many connections, or kernels, each layer is to drop."""
        rounded = math.ceil if "ceil" in self.behaviours else math.floor
        return {name: rounded(quota) for name, quota in self.quotas().items()}

    def drop(self, layers: dict[str, methods.Layer]) -> tuple[dict[str, Tensor], dict[str, int]]:
        """The masks that are left, and how many connections each has lost, which may be more than `dropped`."""
        kept, dropped = super().drop(layers)
        if "zero-ties" in self.behaviours:
            for name, count in dropped.items():
                mask, size = layers[name].mask, layers[name].weight.detach().abs()
                rank = mask.numel() - self.active[name] + count if count else 0
                kept[name] = mask & ~masks.top(-size, torch.ones_like(mask), rank)
                dropped[name] = self.active[name] - int(kept[name].sum())
        return kept, dropped

    def grow(self, name: str, score: Tensor, kept: Tensor, count: int) -> Tensor:
        """The mask with the entries of largest score, which ties may lead to active ones."""
        if self.structure.name != "weight":
            return super().grow(name, score, kept, count)
        eligible = ~kept
        if "zero-ties" in self.behaviours and self.method.growth is not methods.uniform_random:
            score, eligible = score.masked_fill(kept, 0), torch.ones_like(kept)
        self._chosen[name] = masks.top(score, eligible, count)
        return kept | self._chosen[name]

    def move(self, name: str, new: Tensor, count: int) -> None:
        """Take over a mask; where ties were, its active entries are counted again."""
        super().move(name, new, int(new.sum()) if "zero-ties" in self.behaviours else count)

    def grown(self, layers: dict[str, methods.Layer], dropped: dict[str, int]) -> dict[str, int]:
        """How many connections each layer grows: SET's by a coin for each."""
        if "bernoulli" not in self.behaviours or self.method.growth is not methods.uniform_random:
            return super().grown(layers, dropped)
        found = {}
        for name, layer in layers.items():
            room = layer.mask.numel() - self.active[name] + dropped[name]
            wanted = dropped[name] + (self.errors[-1] if self.errors and "shared-error" in self.behaviours else 0)
            chance = torch.full((room,), min(max(wanted / max(room, 1), 0.0), 1.0))
            found[name] = int(torch.bernoulli(chance.to(self.generator.device), generator=self.generator).sum())
        return found

    def drawn(self, shapes: dict[str, tuple[int, ...]], densities: dict[str, float], draw) -> dict[str, Tensor]:
        """The first masks."""
        if "bernoulli" not in self.behaviours:
            return super().drawn(shapes, densities, draw)
        return {name: torch.from_numpy(draw.random(shape) < densities[name]) for name, shape in shapes.items()}

    def shares(self, dropped: Sequence[int], statistics: Sequence[float], room: Sequence[int]) -> list[int]:
        """The dropped total, shared."""
        if "capped-shares" not in self.behaviours:
            return super().shares(dropped, statistics, room)
        correction = 0.0
        for last in range(1, len(self.errors) + 1):
            correction = 0.25 * correction + 0.75 * self.errors[last - 1] + fmean(self.errors[:last])
        return capped_shares(sum(dropped) + correction, statistics, room)

    def state_dict(self) -> dict:
        """As of a `Sparsifier`, and what the corrections need."""
        return super().state_dict() | {"first": self.first, "errors": list(self.errors)}

    def load_state_dict(self, state: dict) -> None:
        """Take over what `state_dict` gave."""
        first, errors = state["first"], list(state["errors"])
        super().load_state_dict(state)
        self.first, self.errors = first, errors


def check_structure(structure: str, behaviours: Iterable[str]) -> None:
    """ValueError for behaviours that are of another structure."""
    for name in sorted(behaviours):
        structures = {"signed-kernels": ("kernel",), "ceil": ("weight", "kernel")}.get(name, ("weight",))
        if structure not in structures:
            way = f"take structure {' or '.join(structures)}"
            raise ValueError(f"published_code {name!r} is not allowed with structure {structure}: {way}")


def averaged(values: Tensor) -> Tensor:
    """Each entry the mean of its kernel: of a linear layer, itself."""
    means = values.reshape(*values.shape[:2], -1).mean(2)
    return means.view(*means.shape, *[1] * (values.ndim - 2)).expand_as(values)


def capped_shares(total: float, statistics: Sequence[float], room: Sequence[int]) -> list[int]:
    """How many connections each layer grows: in proportion, rounded, at most 0.99 of its room; then cut to integers.

    What is over goes in equal parts to all layers, full ones included, for at most 1,000 rounds.
    """
    budgets = [float(round(statistic / math.fsum(statistics) * total)) for statistic in statistics]
    extra = 0.0
    for _ in range(1000):
        wanted = [budget + extra for budget in budgets]
        budgets = [min(want, 0.99 * most) for want, most in zip(wanted, room, strict=True)]
        over = math.fsum(wanted) - math.fsum(budgets)
        if over <= 0:
            break
        extra = over / len(budgets)
    return [int(budget) for budget in budgets]
