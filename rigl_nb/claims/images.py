"""How much better a method is, for other images and other seeds than those that it was measured with."""

from collections.abc import Sequence

import numpy as np

from rigl_nb.claims.estimate import CONFIDENCE
from rigl_nb.claims.instability import Limits


def difference(left: Sequence[np.ndarray], right: Sequence[np.ndarray], resamples: int = 2000, seed: int = 0) -> Limits:
    """Accuracy of `left` minus that of `right`, in points, with a 95 % interval by a two-way bootstrap.

    Each is a list of bool (images,), which images are correct, one for every seed, paired by seed; of text (windows,
    length), as windows are what can be drawn. Order does not matter. Raises ValueError where the two do not fit.

    It resamples images, as another test set would, and seeds, as other trainings would, each with replacement. The
    seeds' spread is without what single predictions add to it, which is among the images' already; and as few seeds
    tell it badly, it is drawn too, from the chi-square distribution. Plain resampling of both is too narrow where seeds
    differ most, and too wide where single predictions do.
    """
    shapes = [np.shape(one) for one in (*left, *right)]
    if len(left) != len(right) or len(left) < 2 or len(set(shapes)) > 1 or 0 in (shapes[0] or (0,)):
        raise ValueError(
            f"{len(left)} and {len(right)} runs with predictions of shapes {sorted(set(shapes))} are not allowed: "
            "give the same two seeds or more of both, on the same images"
        )
    n, m = len(left), shapes[0][0]
    gaps = 100 * (np.asarray(left, float) - np.asarray(right, float)).reshape(n, m, -1).mean(2)
    value, of_seeds, of_images = gaps.mean(), np.sort(gaps.mean(1)), gaps.mean(0)
    noise = ((gaps - gaps.mean(1, keepdims=True) - of_images + value) ** 2).sum() / ((n - 1) * max(m - 1, 1)) / m
    spread = of_seeds.var(ddof=1)
    own = max(spread - noise, 0) / spread if spread else 0.0

    draw = np.random.default_rng(seed)
    kinds, counts = np.unique(of_images, return_counts=True)  # few: what is drawn is how often each comes
    images = draw.multinomial(m, counts / m, resamples) @ kinds / m
    seeds = draw.multinomial(n, np.full(n, 1 / n), resamples) @ (of_seeds - value) / n
    drawn = images + seeds * np.sqrt(own * n / draw.chisquare(n - 1, resamples))
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Limits(float(value), float(low), float(high))
