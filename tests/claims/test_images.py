"""The interval over seeds and images: by hand, and in simulated worlds of which the truth is known."""

import time

import numpy as np
import pytest
from scipy import stats

from rigl_nb.claims.images import difference

RNG = np.random.default_rng
YES, NO = np.ones(100, bool), np.zeros(100, bool)


def limits(*arguments, **options):
    found = difference(*arguments, **options)
    return found.value, found.low, found.high


def test_without_spread_there_is_no_doubt():
    some = [RNG(seed).random(100) < 0.9 for seed in range(3)]
    assert limits(some, some) == (0, 0, 0)
    assert limits([YES] * 2, [NO] * 2) == (100, 100, 100) and limits([NO] * 2, [YES] * 2) == (-100, -100, -100)


def test_seeds_that_agree_leave_the_images_doubt():
    """Thirty of a hundred images: the number in a drawn set is binomial."""
    thirty = np.arange(100) < 30
    low, high = stats.binom.ppf([0.025, 0.975], 100, 0.3)
    assert limits([thirty] * 4, [NO] * 4) == pytest.approx((30, low, high), abs=1)


def test_images_that_agree_leave_the_seeds_doubt():
    """Two seeds, 0 and 100 points: their mean is drawn as 0, 50, 50 or 100, with a spread of one degree of freedom."""
    half = 50 * 2**0.5 / stats.norm.ppf(0.55)  # beyond it: a quarter of the draws, with a |z| that one in ten is below
    assert limits([YES, NO], [NO, NO], resamples=400_000) == pytest.approx((50, 50 - half, 50 + half), rel=0.02)


def test_the_order_of_seeds_and_images_does_not_matter():
    methods = [[RNG(10 * k + seed).random(500) < 0.7 + 0.05 * k for seed in range(5)] for k in range(2)]
    seeds, images = RNG(0).permutation(5), RNG(1).permutation(500)
    shuffled = ([one[seed][images] for seed in seeds] for one in methods)
    assert limits(*methods) == pytest.approx(limits(*shuffled), abs=1e-9)
    value, low, high = limits(*methods)
    assert limits(*methods[::-1]) == pytest.approx((-value, -high, -low), abs=0.15), "other draws, from the same table"
    assert low < value < high < 0


# Spreads of a seed, of an image under one method, and of a single prediction, on the scale of how easy images are.
WORLDS = {"single predictions": (0, 0, 0.5), "seeds": (0.3, 0.1, 0.5), "images": (0, 1, 0.2), "all": (0.05, 0.3, 0.5)}


def world(draw, seeds, spreads, images=1000):
    """Two methods that are equally good on average: which images each seed has right."""
    easy = draw.normal(2, 1.5, images)
    for _ in range(2):
        of_seed, of_image, single = (
            s * draw.normal(size=z) for s, z in zip(spreads, ((seeds, 1), images, (seeds, images)), strict=True)
        )
        yield list(easy + of_seed + of_image + single > 0)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("name", WORLDS)
def test_the_interval_covers_the_truth_as_often_as_it_says(name, seeds):
    draw, repeats = RNG(seeds), 400
    found = [difference(*world(draw, seeds, WORLDS[name]), resamples=500) for _ in range(repeats)]
    assert np.mean([one.low <= 0 <= one.high for one in found]) == pytest.approx(0.95, abs=0.03)


def plain(left, right):
    """Whether the percentiles of both resamplings, done together and nothing else, cover 0."""
    gaps = np.array(left, float) - np.array(right, float)
    n, m = gaps.shape
    seeds, images = (RNG(0).multinomial(size, np.full(size, 1 / size), 250) / size for size in (n, m))
    low, high = np.quantile((seeds @ gaps * images).sum(1), [0.025, 0.975])
    return low <= 0 <= high


def test_plain_resampling_of_both_would_not():
    draw = RNG(0)
    covered = {
        name: np.mean([plain(*world(draw, 3, WORLDS[name])) for _ in range(200)])
        for name in ("seeds", "single predictions")
    }
    assert covered["seeds"] < 0.85 and covered["single predictions"] > 0.98


def test_windows_of_text_are_drawn_whole():
    """A window whose characters stand or fall together is one case, not sixty-four."""
    rows = [RNG(seed).random(50) < 0.5 for seed in range(4)]
    whole = [np.repeat(row[:, None], 64, 1) for row in rows]
    assert limits(whole[:2], whole[2:]) == limits(rows[:2], rows[2:])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([YES], [YES]),
        ([YES] * 2, [YES] * 3),
        ([YES] * 2, [YES[:50]] * 2),
        ([], []),
        ([[]] * 2, [[]] * 2),
        ([None] * 2, [None] * 2),
    ],
)
def test_what_cannot_be_compared(left, right):
    with pytest.raises(ValueError, match=f"{len(left)} and {len(right)} runs .* the same two seeds or more"):
        difference(left, right)


def test_it_is_fast_enough_for_a_notebook():
    methods = [[RNG(10 * k + seed).random(10_000) < 0.9 for seed in range(5)] for k in range(2)]
    begun = time.process_time()
    difference(*methods)
    assert time.process_time() - begun < 1
