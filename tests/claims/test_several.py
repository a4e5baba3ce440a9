"""P-values of several tests: Holm's method by hand, Benjamini and Hochberg's against scipy."""

import numpy as np
import pytest
from scipy import stats

from rigl_nb.claims.several import benjamini_hochberg, holm


def test_holm_by_hand():
    """Sorted: 0.005 × 4, 0.01 × 3, 0.03 × 2, 0.04 × 1; none below the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0] and holm([0.02]) == [0.02] and holm([]) == []


def test_benjamini_hochberg_is_scipys():
    rng = np.random.default_rng(0)
    for n in (1, 2, 9, 40):
        p = rng.uniform(size=n) ** 3
        assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))
    assert benjamini_hochberg([]) == []
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_equal_p_values_stay_equal():
    for adjust in (holm, benjamini_hochberg):
        assert len(set(adjust([0.02] * 5))) == 1
