"""The cosine, the decays and the warm-up at the steps where they turn."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rigl_nb.schedules import drop_fraction, learning_rate


def test_cosine_at_its_landmarks():
    assert drop_fraction(0, 0.3, 66_000) == 0.3
    assert drop_fraction(33_000, 0.3, 66_000) == pytest.approx(0.15, abs=1e-15)
    assert drop_fraction(22_000, 0.3, 66_000) == pytest.approx(0.225, abs=1e-15)  # cos 60 degrees = 1/2
    assert drop_fraction(44_000, 0.3, 66_000) == pytest.approx(0.075, abs=1e-15)


def test_cosine_is_exactly_zero_from_the_end_on():
    assert drop_fraction(65_999, 0.3, 66_000) > 0
    assert [drop_fraction(t, 0.3, 66_000) for t in (66_000, 66_001, 99_000, 132_000, 200_000)] == [0.0] * 5


def test_no_steps_no_drop():
    assert drop_fraction(0, 0.3, 0) == 0.0


@given(st.integers(1, 10**6), st.floats(0, 1), st.data())
def test_cosine_falls_and_stays_in_range(t_end, alpha, data):
    step = data.draw(st.integers(0, t_end))
    now, later = drop_fraction(step, alpha, t_end), drop_fraction(step + 1, alpha, t_end)
    assert 0 <= later <= now <= alpha
    expected = alpha / 2 * (1 + math.cos(math.pi * step / t_end))
    assert now == pytest.approx(expected, abs=1e-12)


def test_decay_boundaries_are_absolute_steps():
    steps = (0, 29_999, 30_000, 59_999, 60_000, 89_999, 90_000)
    rates = [learning_rate(step, 0.1, 30_000, 0.2) for step in steps]
    assert rates == pytest.approx([0.1, 0.1, 0.02, 0.02, 0.004, 0.004, 0.0008], rel=1e-12)


def test_warm_up_is_linear_and_reaches_the_base_rate_at_its_last_step():
    rates = [learning_rate(step, 0.1, 30_000, 0.2, warmup=704) for step in (0, 1, 351, 703, 704, 705)]
    assert rates == pytest.approx([0.1 / 704, 0.2 / 704, 0.05, 0.1, 0.1, 0.1], rel=1e-12)


def test_warm_up_never_exceeds_the_base_rate():
    assert max(learning_rate(step, 0.1, 30_000, 0.2, warmup=3_500) for step in range(4_000)) == 0.1


def test_warm_up_does_not_shift_the_decays():
    with_warm_up = [learning_rate(step, 0.1, 20_000, 0.2, warmup=1_760) for step in range(1_760, 88_000, 40)]
    without = [learning_rate(step, 0.1, 20_000, 0.2) for step in range(1_760, 88_000, 40)]
    assert with_warm_up == without
    assert learning_rate(19_999, 0.1, 20_000, 0.2, warmup=1_760) == pytest.approx(0.1, rel=1e-12)
    assert learning_rate(20_000, 0.1, 20_000, 0.2, warmup=1_760) == pytest.approx(0.02, rel=1e-12)


def test_no_warm_up_starts_at_the_base_rate():
    assert learning_rate(0, 0.1, 30_000, 0.2) == 0.1
