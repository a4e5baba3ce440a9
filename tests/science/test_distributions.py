"""Layer densities and counts against hand-solved cases and against exact fractions."""

import math
from fractions import Fraction

import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from rigl_nb import distributions, models
from rigl_nb.distributions import DISTRIBUTIONS, counts, erdos_renyi, erdos_renyi_kernel, uniform

ORACLE = {
    "Random": lambda shapes, density: dict.fromkeys(shapes, density),
    "ER": lambda shapes, density: reference.erdos_renyi(shapes, density, kernel=False),
    "ERK": lambda shapes, density: reference.erdos_renyi(shapes, density, kernel=True),
}
MODELS = {"wrn-22-2": 10, "resnet50": 100}


def shapes_of(name, init):
    model = models.build(name, MODELS[name])
    masked = models.maskable(model, first_layer=init != "Random")
    return {key: tuple(parameter.shape) for key, parameter in masked.items()}


def test_names_are_the_reports():
    assert list(DISTRIBUTIONS) == ["Random", "ER", "ERK"]
    assert DISTRIBUTIONS["Random"] is uniform
    assert DISTRIBUTIONS["ER"] is erdos_renyi
    assert DISTRIBUTIONS["ERK"] is erdos_renyi_kernel


def test_uniform_gives_every_layer_the_density():
    assert uniform({"a": (4, 2, 3, 3), "b": (10, 4)}, 0.3) == {"a": 0.3, "b": 0.3}


def test_erdos_renyi_by_hand():
    """Two linear layers, 10x10 and 20x20: raw 0.2 and 0.1, so eps (20 + 40) = 0.3 * 500 and eps = 2.5."""
    got = erdos_renyi({"a": (10, 10), "b": (20, 20)}, 0.3)
    assert got == pytest.approx({"a": 0.5, "b": 0.25}, abs=1e-12)


def test_kernel_form_by_hand():
    """Raw 26/900 for 3x3; a 1x1 convolution adds 2 (22/100); a linear layer has no h + w (20/100)."""
    shapes = {"k3": (10, 10, 3, 3), "k1": (10, 10, 1, 1), "fc": (10, 10)}
    got = erdos_renyi_kernel(shapes, 0.1)  # eps (26 + 22 + 20) = 0.1 * 1100
    want = {"k3": 110 / 68 * 26 / 900, "k1": 110 / 68 * 0.22, "fc": 110 / 68 * 0.2}
    assert got == pytest.approx(want, abs=1e-12)
    plain = erdos_renyi(shapes, 0.1)  # eps (20 * 9 + 20 + 20) = 110
    assert plain == pytest.approx(dict.fromkeys(shapes, 110 / 220 * 0.2), abs=1e-12)


def test_overflow_takes_several_rounds():
    """Raw 3/2, 1/5, 1/10 on 2, 100 and 400 weights at D = 0.6 (301.2 weights).

    Round 1: eps = 301.2 / 63, the first layer overflows. Round 2: eps = 299.2 / 60 = 4.99 just fits for 1/5.
    At D = 0.8 (401.6): 1: first. 2: 399.6 / 60 = 6.66, the second overflows. 3: 299.6 / 40 = 7.49 fits 1/10.
    """
    shapes = {"a": (1, 2), "b": (10, 10), "c": (20, 20)}
    assert erdos_renyi(shapes, 0.6) == pytest.approx({"a": 1, "b": 299.2 / 300, "c": 299.2 / 600}, abs=1e-12)
    assert erdos_renyi(shapes, 0.8) == pytest.approx({"a": 1, "b": 1, "c": 299.6 / 400}, abs=1e-12)
    assert erdos_renyi(shapes, 0.8)["a"] == 1.0 == erdos_renyi(shapes, 0.8)["b"]


def test_equal_raw_values_become_dense_together():
    """(3, 6) and (6, 3), and (4, 4) too, have raw 1/2: one round frees all three, whatever their order."""
    shapes = {"a": (3, 6), "c": (40, 40), "b": (6, 3), "d": (4, 4)}
    got = erdos_renyi(shapes, 0.5)
    assert (got["a"], got["b"], got["d"]) == (1.0, 1.0, 1.0)
    assert got["c"] == pytest.approx((826 - 52) / 1600, abs=1e-12)


@pytest.mark.parametrize("init", DISTRIBUTIONS)
def test_density_one_is_dense_everywhere(init):
    shapes = {"a": (3, 3, 3, 3), "b": (7, 3)}
    densities = DISTRIBUTIONS[init](shapes, 1.0)
    assert densities == {"a": 1.0, "b": 1.0}
    assert counts(shapes, densities) == {"a": 81, "b": 21}


@pytest.mark.parametrize("init", DISTRIBUTIONS)
@pytest.mark.parametrize("density", [0, 0.0, 1.5, -0.1, math.nan, math.inf])
def test_density_outside_the_range_is_named(init, density):
    with pytest.raises(ValueError, match=f"{density}"):
        DISTRIBUTIONS[init]({"a": (4, 4)}, density)


@pytest.mark.parametrize("init", DISTRIBUTIONS)
def test_nothing_to_mask_is_an_error(init):
    with pytest.raises(ValueError, match=r"[Nn]o .*(layer|weight|mask)|[Nn]othing"):
        DISTRIBUTIONS[init]({}, 0.1)


def test_inputs_are_not_changed():
    shapes = {"a": (1, 2), "b": (10, 10)}
    densities = erdos_renyi(shapes, 0.9)
    before = dict(densities)
    counts(shapes, densities)
    assert shapes == {"a": (1, 2), "b": (10, 10)}
    assert densities == before


def test_largest_remainder_ties_go_to_the_earlier_layer():
    shapes = {"z": (1, 5), "a": (1, 5), "m": (1, 5)}
    assert counts(shapes, dict.fromkeys(shapes, 0.5)) == {"z": 3, "a": 3, "m": 2}  # 7.5 rounds up to 8
    assert counts(shapes, {"z": 0.24, "a": 0.5, "m": 0.46}) == {"z": 1, "a": 3, "m": 2}  # 1.2 2.5 2.3


def test_ties_survive_floating_point():
    """0.1 of 288 and of 4,608 both leave 0.8: a tie, though the two products differ in the last bits."""
    shapes = {"a": (1, 288), "b": (1, 4608), "c": (1, 18), "d": (1, 66)}  # 28.8 460.8 1.8 6.6: 498
    got = counts(shapes, dict.fromkeys(shapes, 0.1))
    assert got == {"a": 29, "b": 461, "c": 2, "d": 6}
    reordered = {name: shapes[name] for name in "cabd"}
    assert counts(reordered, dict.fromkeys(shapes, 0.1)) == {"c": 2, "a": 29, "b": 461, "d": 6}
    two = {name: shapes[name] for name in "bad"}  # 496.2: 496, the two ties win over 0.6
    assert counts(two, dict.fromkeys(two, 0.1)) == {"b": 461, "a": 29, "d": 6}


@pytest.mark.parametrize("init", DISTRIBUTIONS)
@pytest.mark.parametrize("name", MODELS)
def test_counts_are_exact_at_every_density(name, init):
    """Sum of counts = floor(D N + 1/2) at 0.01 ... 1.00, each layer as exact fractions give it."""
    shapes = shapes_of(name, init)
    for percent in range(1, 101):
        density = Fraction(percent, 100)
        got = counts(shapes, DISTRIBUTIONS[init](shapes, percent / 100))
        assert sum(got.values()) == reference.total_count(shapes, density), percent
        assert got == reference.largest_remainder(shapes, ORACLE[init](shapes, density)), percent


LAYERS = st.one_of(
    st.tuples(*[st.integers(1, 12)] * 2),
    st.tuples(*[st.integers(1, 12)] * 2, st.sampled_from([1, 3]), st.sampled_from([1, 3])),
)
SHAPES = st.lists(LAYERS, min_size=1, max_size=6).map(lambda drawn: {f"l{i}": s for i, s in enumerate(drawn)})


@given(SHAPES, st.integers(1, 1000), st.sampled_from(list(DISTRIBUTIONS)))
def test_densities_and_counts_agree_with_fractions(shapes, per_mille, init):
    density = Fraction(per_mille, 1000)
    want = ORACLE[init](shapes, density)
    got = DISTRIBUTIONS[init](shapes, per_mille / 1000)
    assert list(got) == list(shapes)
    assert got == pytest.approx({name: float(value) for name, value in want.items()}, abs=1e-9)
    assert all(0 < value <= 1 for value in got.values())
    integer = counts(shapes, got)
    assert integer == reference.largest_remainder(shapes, want)
    assert sum(integer.values()) == reference.total_count(shapes, density)
    assert all(0 <= integer[name] <= reference.size(shapes[name]) for name in shapes)


@given(SHAPES, st.integers(1, 999), st.integers(1, 999), st.sampled_from(list(DISTRIBUTIONS)))
def test_more_density_is_nowhere_less(shapes, one, other, init):
    low, high = sorted([one, other])
    less, more = (DISTRIBUTIONS[init](shapes, value / 1000) for value in (low, high))
    assert all(less[name] <= more[name] + 1e-12 for name in shapes)
    assert sum(counts(shapes, less).values()) <= sum(counts(shapes, more).values())


@pytest.mark.parametrize("init", DISTRIBUTIONS)
def test_the_registry_is_the_only_list(init):
    assert getattr(distributions, DISTRIBUTIONS[init].__name__) is DISTRIBUTIONS[init]


# ---- powers of ERK's ratio

LAYERS = st.dictionaries(
    st.sampled_from("abcde"),
    st.one_of(st.tuples(*[st.integers(1, 40)] * 2), st.tuples(*[st.integers(1, 40)] * 2, *[st.integers(1, 5)] * 2)),
    min_size=1,
)


def test_exponent_by_hand():
    """Raw 0.2 and 0.1 of 100 and 400 weights, squared 0.04 and 0.01: eps (4 + 4) = 0.1 * 500."""
    shapes = {"a": (10, 10), "b": (20, 20)}
    assert erdos_renyi_kernel(shapes, 0.1, exponent=2) == pytest.approx({"a": 0.25, "b": 0.0625}, abs=1e-12)
    assert erdos_renyi_kernel(shapes, 0.1, exponent=-1) == pytest.approx({"a": 5 / 90, "b": 10 / 90}, abs=1e-12)


@given(LAYERS, st.floats(0.01, 1))
def test_exponent_0_is_uniform_and_1_is_erk(shapes, density):
    assert erdos_renyi_kernel(shapes, density, 0) == pytest.approx(uniform(shapes, density))
    assert erdos_renyi_kernel(shapes, density, 1) == erdos_renyi_kernel(shapes, density)


@given(LAYERS, st.floats(0.01, 1), st.floats(-2, 3))
def test_every_exponent_keeps_the_budget_and_the_order(shapes, density, exponent):
    found = erdos_renyi_kernel(shapes, density, exponent)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    assert math.fsum(found[n] * sizes[n] for n in shapes) == pytest.approx(density * sum(sizes.values()))
    assert all(0 < d <= 1 + 1e-9 for d in found.values())
    ratio = {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}
    for a in shapes:
        for b in shapes:
            if ratio[a] >= ratio[b]:
                higher, lower = (a, b) if exponent >= 0 else (b, a)
                assert found[higher] >= found[lower] - 1e-9
