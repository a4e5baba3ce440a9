"""The registry: the report's names and what each stands for, clear errors, and room for a reader's own method."""

import dataclasses

import pytest
import torch

from rigl_nb import methods
from rigl_nb.methods import METHODS, Layer, Method, gradient_magnitude, momentum_magnitude, uniform_random

TABLE = {  # name: masks at first, growth by, share by, dense gradients at an update, at every iteration, narrow
    "Dense": ("none", None, None, False, False, False),
    "Small-Dense": ("none", None, None, False, False, True),
    "Static": ("sparse", None, None, False, False, False),
    "SET": ("sparse", uniform_random, None, False, False, False),
    "SNFS": ("sparse", momentum_magnitude, momentum_magnitude, False, True, False),
    "RigL": ("sparse", gradient_magnitude, None, True, False, False),
    "RigL-SG": ("sparse", gradient_magnitude, gradient_magnitude, True, False, False),
    "RigL-SM": ("sparse", gradient_magnitude, momentum_magnitude, True, False, False),
    "Pruning": ("dense", None, None, False, False, False),
    "Lottery": ("parent", None, None, False, False, False),
}


@pytest.fixture
def registry():
    """Give the registry back as it was."""
    before = dict(METHODS)
    yield METHODS
    METHODS.clear()
    METHODS.update(before)


def test_names_are_the_reports_in_its_order():
    assert list(METHODS) == list(TABLE)
    assert set(TABLE) == methods.BUILT_IN
    for name, method in METHODS.items():
        assert isinstance(method, Method)
        assert method.name == name
        assert methods.get(name) is method


@pytest.mark.parametrize("name", TABLE)
def test_every_method_is_what_the_report_says(name):
    assert dataclasses.astuple(METHODS[name]) == (name, *TABLE[name])


def test_which_have_masks_which_move_them_and_which_rank_by_momentum():
    assert [name for name in METHODS if not METHODS[name].masked] == ["Dense", "Small-Dense"]
    moving = ["SET", "SNFS", "RigL", "RigL-SG", "RigL-SM", "Pruning"]
    assert [name for name in METHODS if METHODS[name].moves] == moving
    assert [name for name in METHODS if METHODS[name].needs_momentum] == ["SNFS", "RigL-SM"]


# ---- scores: what an update may ask of a layer

WEIGHT, GRAD = torch.tensor([4.0, 0.0, -1.0]), torch.tensor([-2.0, 3.0, 0.5])
MASK = torch.tensor([True, False, True])


def layer(**state):
    return Layer(WEIGHT, GRAD, MASK, {name: torch.tensor(values) for name, values in state.items()})


def test_scores_are_magnitudes():
    none = torch.Generator()
    assert gradient_magnitude(layer(), none).tolist() == [2, 3, 0.5]
    assert momentum_magnitude(layer(momentum_buffer=[1.0, -5.0, 0.0]), none).tolist() == [1, 5, 0]


def test_adams_momentum_is_m_over_the_root_of_v():
    """Where v is 0 the small number in the denominator decides: 3e-8 / 1e-8."""
    adam = layer(exp_avg=[6.0, -3e-8, 0.0], exp_avg_sq=[4.0, 0.0, 0.0])
    assert momentum_magnitude(adam, torch.Generator()).tolist() == pytest.approx([3, 3, 0])


@pytest.mark.parametrize("state", [{}, {"momentum_buffer": None}])
def test_momentum_is_0_before_the_first_step(state):
    """SGD leaves a None where it has no momentum."""
    assert Layer(WEIGHT, GRAD, MASK, state).momentum.tolist() == [0, 0, 0]


def test_noise_follows_its_generator_alone():
    first, again = (uniform_random(layer(), torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again) and first.shape == GRAD.shape
    stream = torch.Generator().manual_seed(1)
    drawn = torch.stack([uniform_random(layer(), stream) for _ in range(3000)])
    assert torch.equal(drawn[0], first) and not torch.equal(drawn[1], first)
    assert drawn.min() >= 0 and drawn.max() < 1
    assert ((drawn.mean(0) - 0.5).abs() < 5 / (12 * 3000) ** 0.5).all()


# ---- the registry


def test_a_method_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        METHODS["RigL"].name = "other"


@pytest.mark.parametrize("name", ["rigl", "Rigl", "", "SNIP", None])
def test_unknown_names_list_the_known(name):
    with pytest.raises(ValueError, match="RigL") as caught:
        methods.get(name)
    message = str(caught.value)
    assert str(name) in message
    assert all(known in message for known in METHODS)


def test_a_reader_can_register_a_method(registry):
    mine = dataclasses.replace(METHODS["RigL"], name="Mine")
    methods.register(mine)
    assert methods.get("Mine") is mine
    assert registry["Mine"] is mine


def test_a_name_is_not_taken_twice(registry):
    with pytest.raises(ValueError, match="RigL"):
        methods.register(dataclasses.replace(METHODS["SET"], name="RigL"))
    assert methods.get("RigL") is not METHODS["SET"]
