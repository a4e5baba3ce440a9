"""Masks and what moves them: pure functions on tensors. Nothing here changes its arguments.

A mask is a boolean tensor of the weight's shape, True where the connection is active. Ranking is stable
everywhere: of equal scores the entry of lower flat index ranks higher.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rigl_nb.distributions import whole


def random_mask(shape: Sequence[int], count: int, rng: np.random.Generator) -> Tensor:
    """A mask with exactly `count` active entries, drawn uniformly without replacement; ValueError for more than fit."""
    size = math.prod(shape)
    if not 0 <= count <= size:
        raise ValueError(f"count {count} is not allowed for shape {tuple(shape)}: it must be between 0 and {size}")
    flat = np.zeros(size, dtype=bool)
    flat[rng.permutation(size)[:count]] = True
    return torch.from_numpy(flat).reshape(tuple(shape))


def top(score: Tensor, eligible: Tensor, count: int | Tensor, pools: int = 1) -> Tensor:
    """Mask of the `count` eligible entries of largest score, of all when there are fewer; NaN ranks last.

    `pools`: the entries, in flat order, are cut into so many parts of equal size; each gives `count`.
    A selection by threshold: everything above the count-th largest score, then, in flat order, as many of the
    entries equal to it as are missing. This is the stable sort's answer at a fraction of its cost.
    """
    if not score.is_floating_point():  # whole numbers, or yes and no, rank as well
        score = score.to(torch.float32 if score.device.type == "mps" else torch.float64)
    ranked = torch.nan_to_num(score, nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    ranked = ranked.masked_fill(~eligible, -math.inf).reshape(pools, -1)
    threshold = (_kth_selected if ranked.device.type == "cpu" else _kth_sorted)(ranked, count).view(-1, 1)
    above = ranked > threshold
    equal = (ranked == threshold) & eligible.reshape(pools, -1)
    chosen = above | (equal & (equal.cumsum(1) <= count - above.sum(1, keepdim=True)))
    return chosen.view_as(eligible)


def _kth_selected(values: Tensor, k: int | Tensor) -> Tensor:
    size = values.shape[-1]
    return values.kthvalue(size + 1 - min(max(int(k), 1), size)).values


def _kth_sorted(values: Tensor, k: int | Tensor) -> Tensor:
    """The same for a GPU, where `kthvalue` keeps one processor of many busy; the host never waits to learn k."""
    index = torch.zeros((*values.shape[:-1], 1), dtype=torch.int64, device=values.device) + k - 1
    return values.sort(descending=True).values.gather(-1, index.clamp(0, values.shape[-1] - 1))


def drop(weight: Tensor, mask: Tensor, count: int, pools: int = 1) -> Tensor:
    """The mask without its `count` active entries of smallest |weight|; inactive ones have no rank.

    Of `pools` as of `top`, which must have as many active entries each, every one loses `count`.
    """
    return top(weight.abs(), mask, mask.sum() // pools - count, pools)


def grow(score: Tensor, kept: Tensor, count: int, pools: int = 1) -> Tensor:
    """`kept` plus the `count` entries of largest score of all others, in each pool; the just-dropped included."""
    return kept | top(score, ~kept, count, pools)


def carry(values: Tensor, before: Tensor, after: Tensor, start: float = 0.0) -> Tensor:
    """Weights, or an optimizer's buffer, under a new mask.

    A connection that was inactive begins at `start`. One that is dropped and grown again in the same update keeps its
    value, so a layer at density 1 comes out bitwise unchanged.
    """
    return values.masked_fill(~(before & after), start)


def rigl_update(
    weight: Tensor, grad: Tensor, mask: Tensor, drop_fraction: float, momentum: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """One RigL update of a layer: drop by |weight|, grow by |gradient| (Evci et al., algorithm 1).

    `grad` is the dense gradient of the current batch; k = floor(drop_fraction · active) connections
    move. Returns the new (mask, weight, momentum); momentum stays None when none is given.
    """
    count = math.floor(drop_fraction * int(mask.sum()))
    new = grow(grad.abs(), drop(weight, mask, count), count)
    return new, carry(weight, mask, new), None if momentum is None else carry(momentum, mask, new)


def redistribute(dropped: Sequence[int], statistics: Sequence[float], room: Sequence[int]) -> list[int]:
    """How many connections each layer grows when the dropped total is shared in proportion to `statistics`.

    No layer gets more than its `room`: what is over goes to the others, in proportion (Dettmers & Zettlemoyer 2020).
    Where no statistic is left above 0, the share follows what was dropped, so that each layer gets its own back.
    """
    budgets = [0.0] * len(room)
    for weights in (statistics, dropped):  # the second only where the first leaves something over
        more = _fill(sum(dropped) - math.fsum(budgets), weights, [r - b for r, b in zip(room, budgets, strict=True)])
        budgets = [budget + extra for budget, extra in zip(budgets, more, strict=True)]
    return list(whole(dict(enumerate(budgets))).values())


def _fill(amount: float, weights: Sequence[float], room: Sequence[float]) -> list[float]:
    """Budgets min(room, unit · weight) that sum to `amount`; all room of positive weight where that is less."""
    budgets, free = [0.0] * len(room), {i for i, weight in enumerate(weights) if weight > 0}
    while free:
        unit = (amount - math.fsum(budgets)) / math.fsum(weights[i] for i in free)
        full = {i for i in free if unit * weights[i] >= room[i]}
        for i in full or free:
            budgets[i] = room[i] if full else unit * weights[i]
        free = free - full if full else set()
    return budgets


def global_magnitude(weights: Sequence[Tensor], masks: Sequence[Tensor], keep: int) -> list[Tensor]:
    """Masks of the `keep` active weights of largest magnitude over all layers: an exact count, no threshold search."""
    chosen = top(torch.cat([w.abs().flatten() for w in weights]), torch.cat([m.flatten() for m in masks]), keep)
    return [part.view_as(mask) for part, mask in zip(chosen.split([m.numel() for m in masks]), masks, strict=True)]
