"""Masks and what moves them: pure functions on one layer. Nothing here changes its arguments.

A mask is a boolean tensor of the weight's shape, True where the connection is active. Ranking is stable
everywhere: of equal scores the entry of lower flat index ranks higher.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def random_mask(shape: Sequence[int], count: int, rng: np.random.Generator) -> Tensor:
    """A mask with exactly `count` active entries, drawn uniformly without replacement."""
    size = math.prod(shape)
    if not 0 <= count <= size:
        raise ValueError(f"count {count} is not allowed for shape {tuple(shape)}: it must be between 0 and {size}")
    flat = np.zeros(size, dtype=bool)
    flat[rng.permutation(size)[:count]] = True
    return torch.from_numpy(flat).reshape(tuple(shape))


def top(score: Tensor, eligible: Tensor, count: int | Tensor) -> Tensor:
    """Mask of the `count` eligible entries of largest score, of all when there are fewer; NaN ranks last.

    A selection by threshold: everything above the count-th largest score, then, in flat order, as many of the
    entries equal to it as are missing. This is the stable sort's answer at a fraction of its cost.
    """
    ranked = torch.nan_to_num(score, nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    ranked = ranked.masked_fill(~eligible, -math.inf).flatten()
    threshold = (_kth_selected if ranked.device.type == "cpu" else _kth_sorted)(ranked, count)
    above = ranked > threshold
    equal = (ranked == threshold) & eligible.flatten()
    chosen = above | (equal & (equal.cumsum(0) <= count - above.sum()))
    return chosen.view_as(eligible)


def _kth_selected(values: Tensor, k: int | Tensor) -> Tensor:
    return values.kthvalue(values.numel() + 1 - min(max(int(k), 1), values.numel())).values


def _kth_sorted(values: Tensor, k: int | Tensor) -> Tensor:
    """The same for a GPU, where `kthvalue` keeps one processor of many busy; the host never waits to learn k."""
    index = (torch.zeros(1, dtype=torch.int64, device=values.device) + k - 1).clamp(0, values.numel() - 1)
    return values.sort(descending=True).values.gather(0, index)


def drop(weight: Tensor, mask: Tensor, count: int) -> Tensor:
    """The mask without its `count` active entries of smallest |weight|; inactive ones have no rank."""
    return top(weight.abs(), mask, mask.sum() - count)


def grow(score: Tensor, kept: Tensor, count: int) -> Tensor:
    """`kept` plus the `count` entries of largest score of all others, the just-dropped included."""
    return kept | top(score, ~kept, count)


def rewire(
    weight: Tensor, mask: Tensor, score: Tensor, count: int, buffers: Sequence[Tensor] = ()
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Drop `count` connections by magnitude and grow as many by score: (mask, weight, buffers).

    A connection that was inactive starts at weight 0 and with optimizer buffers at 0; one that is
    dropped and grown again in the same update keeps them, so a layer at density 1 comes out
    bitwise unchanged.
    """
    new = grow(score, drop(weight, mask, count), count)
    survives = mask & new

    def carry(values: Tensor) -> Tensor:
        return torch.where(survives, values, torch.zeros_like(values))

    return new, carry(weight), [carry(buffer) for buffer in buffers]


def rigl_update(
    weight: Tensor, grad: Tensor, mask: Tensor, drop_fraction: float, momentum: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """One RigL update of a layer: drop by |weight|, grow by |gradient| (Evci et al., algorithm 1).

    `grad` is the dense gradient of the current batch; k = floor(drop_fraction · active) connections
    move. Returns the new (mask, weight, momentum); momentum stays None when none is given.
    """
    count = math.floor(drop_fraction * int(mask.sum()))
    buffers = () if momentum is None else (momentum,)
    new, weight, buffers = rewire(weight, mask, grad.abs(), count, buffers)
    return new, weight, buffers[0] if buffers else None
