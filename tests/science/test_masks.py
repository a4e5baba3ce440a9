"""Dropping and growing on hand-drawn layers, then against the slow reference on layers full of ties."""

import numpy as np
import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st

from rigl_nb import masks
from rigl_nb.masks import carry, drop, grow, random_mask, rigl_update, top
from rigl_nb.rng import numpy_generator

NAN = float("nan")


def bits(text):
    return torch.tensor([character == "1" for character in text])


def row(*values):
    return torch.tensor(values, dtype=torch.float32)


def same(a, b):
    """Bitwise equality: shape, type and every value, the sign of zero included."""
    return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()


def test_random_mask_has_the_exact_count_and_the_shape():
    for count in (0, 1, 17, 71, 72):
        mask = random_mask((4, 2, 3, 3), count, numpy_generator(0, "mask"))
        assert (mask.dtype, tuple(mask.shape), int(mask.sum())) == (torch.bool, (4, 2, 3, 3), count)


def test_random_mask_follows_its_generator():
    first, again = (random_mask((50, 20), 100, numpy_generator(0, "mask")) for _ in range(2))
    other = random_mask((50, 20), 100, numpy_generator(1, "mask"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_random_mask_is_uniform():
    """2,000 masks with 3 of 10: each place 600 times, sd 20.5; each pair 2000 * 6 / 90 = 133, sd 11."""
    rng = numpy_generator(0, "mask")
    drawn = torch.stack([random_mask((2, 5), 3, rng).flatten() for _ in range(2_000)]).double()
    assert ((drawn.sum(0) - 600).abs() < 4.5 * 20.5).all()
    pairs = (drawn.T @ drawn)[~torch.eye(10, dtype=torch.bool)]
    assert ((pairs - 2_000 / 15).abs() < 5 * 11.2).all()


def test_top_takes_the_largest_among_the_eligible():
    assert torch.equal(top(row(9, 1, 5, 7, 3), bits("01111"), 2), bits("00110"))


def test_top_gives_ties_to_the_lower_index():
    assert torch.equal(top(row(2, 2, 2, 2, 2), bits("01111"), 2), bits("01100"))
    assert torch.equal(top(row(1, 2, 1, 2, 1), bits("11111"), 3), bits("11010"))


def test_top_ranks_nan_last_and_still_counts_exactly():
    score = row(NAN, 0, NAN, -5, NAN)
    assert torch.equal(top(score, bits("11111"), 2), bits("01010"))
    assert torch.equal(top(score, bits("11111"), 3), bits("11010"))
    assert int(top(row(NAN, NAN, NAN), bits("111"), 2).sum()) == 2


def test_top_ranks_infinite_scores_with_the_others():
    score = row(float("-inf"), NAN, float("inf"), 1)
    assert [top(score, bits("1111"), k).tolist() for k in (1, 2, 3)] == [
        bits("0010").tolist(),
        bits("0011").tolist(),
        bits("1011").tolist(),
    ]


def test_top_of_nothing_and_of_everything():
    assert torch.equal(top(row(1, 2, 3), bits("101"), 0), bits("000"))
    assert torch.equal(top(row(1, 2, 3), bits("101"), 2), bits("101"))


def test_drop_takes_the_smallest_active_weights():
    assert torch.equal(drop(row(-3, 0.1, 2, -0.5, 0), bits("11110"), 2), bits("10100"))


def test_drop_among_ties_keeps_the_lower_index():
    assert torch.equal(drop(row(1, -1, 1, -1), bits("1111"), 2), bits("1100"))


def test_an_active_zero_does_not_tie_with_inactive_entries():
    """Places 0 to 2 are inactive and 0; the active 0 at place 4 is the one dropped."""
    kept = drop(row(0, 0, 0, 5, 0, 6), bits("000111"), 1)
    assert torch.equal(kept, bits("000101"))
    assert torch.equal(drop(row(0, 0, 0, 0), bits("0111"), 2), bits("0100"))


def test_drop_ignores_values_under_the_mask():
    assert torch.equal(drop(row(100, 1, 2), bits("011"), 1), bits("001"))


def test_grow_may_choose_what_was_just_dropped_and_never_what_is_kept():
    assert torch.equal(grow(row(9, 1, 2, 8), bits("1000"), 2), bits("1011"))


def test_grow_is_capped_at_the_room():
    assert torch.equal(grow(row(1, 2, 3), bits("100"), 5), bits("111"))


def test_carry_by_hand():
    """1 is dropped, 2 dropped and regrown, 4 new: 2 keeps what it had, 4 starts at zero, whatever was there."""
    weight, mask = row(5, 1, -2, 4, 7, 0), bits("111100")
    new = grow(row(0, 1, 8, 0, 6, 2), drop(weight, mask, 2), 2)
    assert torch.equal(new, bits("101110"))
    assert carry(weight, mask, new).tolist() == [5, 0, -2, 4, 0, 0]
    assert carry(row(1, 2, 3, 4, 9, 9), mask, new).tolist() == [1, 0, 3, 4, 0, 0]
    assert carry(row(0, 0, float("nan"), 0, float("inf"), 0), mask, new)[4] == 0


def test_rigl_update_by_hand():
    weight, mask = row(0.5, -0.1, 0, 0.3, 0, -0.2), bits("110101")
    grad, momentum = row(0.1, 0.2, -0.9, 0.1, 0.8, -0.85), row(1, 2, 0, 3, 0, 4)
    new, after, velocity = rigl_update(weight, grad, mask, 0.5, momentum)  # drops 1 and 5, grows 2 and 5
    assert torch.equal(new, bits("101101"))
    assert same(after, row(0.5, 0, 0, 0.3, 0, -0.2))
    assert velocity.tolist() == [1, 0, 0, 3, 0, 4]


def test_rigl_update_without_momentum():
    new, after, momentum = rigl_update(row(3, 1, 0), row(0, 0, 1), bits("110"), 0.5)
    assert (new.tolist(), after.tolist(), momentum) == ([True, False, True], [3, 0, 0], None)


def test_the_drop_count_is_rounded_down():
    weight, grad, mask = row(4, 3, 2, 1, 0), row(0, 0, 0, 0, 1), bits("11110")
    assert torch.equal(rigl_update(weight, grad, mask, 0.24, None)[0], mask)  # floor(0.96) = 0
    assert torch.equal(rigl_update(weight, grad, mask, 0.25, None)[0], bits("11101"))


def test_a_dense_layer_comes_out_bitwise_unchanged():
    weight = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[0, 0, 0] = torch.tensor([0.0, -0.0, 1e-40])
    mask, momentum = torch.ones_like(weight, dtype=torch.bool), weight.flip(0) * 3
    for fraction in (0.0, 0.15, 0.3, 1.0):
        new, after, velocity = rigl_update(weight, weight.roll(1), mask, fraction, momentum)
        assert same(new, mask)
        assert same(after, weight)
        assert same(velocity, momentum)


def test_drop_fraction_zero_and_one():
    weight, grad, mask = row(5, 4, 0, 0, 0), row(1, 2, 9, 3, 8), bits("11000")
    assert torch.equal(rigl_update(weight, grad, mask, 0.0)[0], mask)
    new, after, _ = rigl_update(weight, grad, mask, 1.0)
    assert torch.equal(new, bits("00101"))
    assert after.tolist() == [0] * 5


def test_dropping_more_than_the_inactive_entries_regrows_some():
    weight, grad, mask = row(1, 2, 3, 4, 0), row(9, 1, 8, 7, 6), bits("11110")
    new, after, _ = rigl_update(weight, grad, mask, 0.75)  # drops 0, 1, 2; grows 0, 2, 4
    assert torch.equal(new, bits("10111"))
    assert after.tolist() == [1, 0, 3, 4, 0]


def test_nan_gradients_and_weights_keep_the_count_exact():
    mask = bits("110100")
    weight = row(1, 2, 0, 3, 0, 0)
    for grad in (row(*[NAN] * 6), row(1, NAN, NAN, 2, 5, NAN)):
        new, after, _ = rigl_update(weight, grad, mask, 0.7)
        assert int(new.sum()) == 3
        assert not after[~new].any()
    new, _, _ = rigl_update(weight, row(1, NAN, NAN, 2, 5, NAN), mask, 0.7)
    assert torch.equal(new, bits("100110"))  # drops 0 and 1; grows 4 and 0, the NaN last
    assert int(rigl_update(row(NAN, 2, 0, NAN, 0, 0), weight, mask, 0.7)[0].sum()) == 3


def test_an_empty_mask_stays_empty():
    mask = bits("0000")
    assert torch.equal(rigl_update(row(0, 0, 0, 0), row(1, 2, 3, 4), mask, 1.0)[0], mask)


@st.composite
def layers(draw):
    """Draw a small layer of few distinct values, so that most ranks are decided by ties."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    n = int(np.prod(shape))
    values = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -2.0])
    scores = st.sampled_from([0.0, 1.0, -1.0, 3.0, NAN])

    def array(elements, dtype=np.float32):
        drawn = draw(st.lists(elements, min_size=n, max_size=n))
        return np.array(drawn, dtype=dtype).reshape(shape)

    mask = array(st.booleans(), dtype=bool)
    return array(values), array(scores), mask, array(values)


@given(layers(), st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 1.0])))
def test_update_agrees_with_the_reference(layer, fraction):
    weight, grad, mask, momentum = layer
    tensors = [torch.from_numpy(array.copy()) for array in (weight, grad, mask, momentum)]
    got = rigl_update(tensors[0], tensors[1], tensors[2], fraction, tensors[3])
    want = reference.rigl_update(weight, grad, mask, fraction, momentum)
    for name, ours, theirs in zip(["mask", "weight", "momentum"], got, want, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs, err_msg=name)
    assert int(got[0].sum()) == int(mask.sum())
    for tensor, array in zip(tensors, (weight, grad, mask, momentum), strict=True):
        assert same(tensor, torch.from_numpy(array))  # inputs are never changed


@given(layers(), st.data())
def test_drop_and_grow_agree_with_the_reference(layer, data):
    weight, score, mask, _ = layer
    count = data.draw(st.integers(0, int(mask.sum())))
    kept = drop(torch.from_numpy(weight), torch.from_numpy(mask), count)
    np.testing.assert_array_equal(kept.numpy(), reference.drop(weight, mask, count))
    number = data.draw(st.integers(0, mask.size))
    grown = grow(torch.from_numpy(score), kept, number)
    np.testing.assert_array_equal(grown.numpy(), reference.grow(score, kept.numpy(), number))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_rank_follows_the_logical_index_not_the_memory_layout(layout):
    """In channels-last memory the storage order is another one: ties must still go by (c_out, c_in, h, w)."""
    weight = torch.ones(2, 3, 2, 2).contiguous(memory_format=layout)
    mask = torch.ones(2, 3, 2, 2, dtype=torch.bool).contiguous(memory_format=layout)
    kept = drop(weight, mask, 14)
    assert kept.reshape(-1).tolist() == [True] * 10 + [False] * 14
    assert grow(weight, kept, 3).reshape(-1).tolist() == [True] * 13 + [False] * 11


@given(st.lists(st.sampled_from([-2.0, -0.0, 0.0, 0.5, 3.0, float("inf"), float("-inf")]), min_size=1), st.data())
def test_what_a_gpu_does_finds_the_same_threshold(values, data):
    """Sorting finds the value that selection finds, with a count that the device alone knows, even out of range."""
    values, k = torch.tensor(values), data.draw(st.integers(-1, len(values) + 2))
    want = torch.tensor(sorted(values.tolist(), reverse=True)[min(max(k, 1), len(values)) - 1])
    for count in (k, torch.tensor(k)):
        assert torch.equal(masks._kth_selected(values, count), want)
        assert torch.equal(masks._kth_sorted(values, count), want.reshape(1))
