"""The cosine, the sparsity of Pruning, the decays and the warm-up at the steps where they turn."""

import math
from itertools import pairwise

import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from rigl_nb.schedules import drop_fraction, learning_rate, pruning_sparsity


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


def test_pruning_at_its_landmarks():
    """From 700 to 66,000: at a half of the way 1 - 1/8 of the final sparsity, at a tenth 1 - 0.9^3."""
    steps = (0, 699, 700, 7_230, 33_350, 65_999, 66_000, 66_099, 88_000)
    shares = [pruning_sparsity(step, 700, 66_000, 0.9) for step in steps]
    assert shares[:5] == pytest.approx([0, 0, 0, 0.9 * 0.271, 0.9 * 0.875], abs=1e-12)
    assert shares[5] == pytest.approx(0.9, abs=1e-12)
    assert shares[:3] == [0, 0, 0] and shares[6:] == [0.9] * 3, "not a digit more or less"


def test_pruning_is_steepest_at_first():
    shares = [pruning_sparsity(step, 5, 45, 0.8) for step in range(5, 46)]
    rises = [later - now for now, later in pairwise(shares)]
    assert all(now > later > 0 for now, later in pairwise(rises))


@given(st.integers(0, 400), st.integers(1, 400), st.integers(0, 1000), st.data())
def test_pruning_agrees_with_fractions(start, length, per_mille, data):
    """Zero before the start, never less, the final sparsity from the end on."""
    end, step = start + length, data.draw(st.integers(0, start + length + 20))
    final = per_mille / 1000
    now, later = pruning_sparsity(step, start, end, final), pruning_sparsity(step + 1, start, end, final)
    exact = reference.pruning_sparsity(step, start, end, reference.exact(final))
    assert now == pytest.approx(float(exact), abs=1e-14)
    assert 0 <= now <= later <= final
    assert now == 0 or step > start
    assert now == final or step < end


@pytest.mark.parametrize("start", [10, 12])
def test_pruning_without_a_way_to_go_is_a_jump_at_the_end(start):
    assert [pruning_sparsity(step, start, 10, 0.5) for step in (0, 9, 10, 11, 12, 13)] == [0, 0, 0.5, 0.5, 0.5, 0.5]


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
