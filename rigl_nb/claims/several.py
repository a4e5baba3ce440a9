"""P-values of several tests at once."""

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values: at most 5 % chance of any false one among those up to 0.05 (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, float)[order] * np.arange(len(p), 0, -1)
    return _back(np.minimum(np.maximum.accumulate(scaled), 1.0), order)


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Adjusted p-values: of those up to 0.05 at most 5 % are false on average (Benjamini and Hochberg 1995)."""
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, float)[order] * len(p) / np.arange(1, len(p) + 1)
    return _back(np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0), order)


def _back(adjusted: np.ndarray, order: np.ndarray) -> list[float]:
    result = np.empty(len(order))
    result[order] = adjusted
    return result.tolist()
