"""Saving, loading and refusing: the parts of the Sparsifier that a training meets at its borders."""

import copy
import io
import math

import pytest
import torch
from test_sparsifier import Problem, equal
from torch import nn

from rigl_nb.sparsifier import Sparsifier


def test_state_holds_boolean_masks_by_parameter_name():
    problem = Problem()
    masks = problem.sparse.state_dict()["masks"]
    parameters = dict(problem.model.named_parameters())
    assert set(masks) == {"0.weight", "3.weight", "5.weight"}
    for name, mask in masks.items():
        assert mask.dtype == torch.bool
        assert mask.shape == parameters[name].shape


@pytest.mark.parametrize("method", ["Static", "SET", "RigL"])
@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
@pytest.mark.parametrize("stop", [1, 3, 4, 6])
def test_save_and_load_goes_on_bit_for_bit(method, optimizer, stop):
    """Around the update at t = 3, into objects made with another seed."""
    straight = Problem(optimizer, method=method)
    for _ in range(stop):
        straight.step()
    file = io.BytesIO()
    parts = (straight.model, straight.optimizer, straight.sparse)
    torch.save([part.state_dict() for part in parts], file)
    resumed = Problem(optimizer, method=method, weights=5, seed=9)
    file.seek(0)
    for part, state in zip((resumed.model, resumed.optimizer, resumed.sparse), torch.load(file), strict=True):
        part.load_state_dict(state)
    resumed.t = straight.t
    for _ in range(9):
        assert straight.step() == resumed.step()
        assert equal(straight.everything(), resumed.everything())


def test_loading_does_not_share_memory():
    """Two trainings that go on from one state must not write into each other's masks."""
    origin = Problem()
    state = origin.sparse.state_dict()
    frozen = copy.deepcopy(state)
    copies = [Problem(seed=3), Problem(seed=4)]
    for problem in copies:
        problem.sparse.load_state_dict(state)
    for _ in range(5):
        copies[0].step()
    assert not equal(list(copies[0].sparse.masks.values()), list(frozen["masks"].values()))
    assert equal(list(copies[1].sparse.masks.values()), list(frozen["masks"].values()))
    assert equal(list(state["masks"].values()), list(frozen["masks"].values()))


def test_a_state_of_another_model_is_refused():
    problem = Problem()
    state = copy.deepcopy(problem.sparse.state_dict())
    fewer = {name: mask for name, mask in state["masks"].items() if name != "3.weight"}
    larger = state["masks"] | {"3.weight": torch.ones(8, 6, 5, 5, dtype=torch.bool)}
    for masks in (fewer, larger, {}):
        with pytest.raises(ValueError, match=r"3\.weight"):
            problem.sparse.load_state_dict(state | {"masks": masks})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"generator": [1, 2]}, "generator list"),
        ({"generator": torch.zeros(16)}, r"generator torch\.float32 .*uint8"),
        ({"carry": None}, "carry NoneType"),
        ({"carry": {"3.weight": "x"}}, "carry str"),
        ({"masks": None}, "masks NoneType"),
        ({"iteration": -1}, "iteration -1"),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(change, named):
    problem = Problem()
    state, before = problem.sparse.state_dict(), copy.deepcopy(problem.sparse.state_dict())
    with pytest.raises(ValueError, match=named):
        problem.sparse.load_state_dict(state | {"iteration": 50} | change)
    after = problem.sparse.state_dict()
    assert after["iteration"] == before["iteration"] and torch.equal(after["generator"], before["generator"])
    with pytest.raises(ValueError, match="state list"):
        problem.sparse.load_state_dict([1])


def test_a_state_stays_what_it_was():
    """Who keeps the best one in memory gets its masks back, not those of later."""
    problem = Problem(delta_t=1)
    state = problem.sparse.state_dict()
    before = copy.deepcopy(state["masks"])
    problem.sparse.masks["3.weight"].logical_not_()
    assert all(torch.equal(mask, state["masks"][name]) for name, mask in before.items())


def test_a_state_of_another_density_is_told():
    problem = Problem(density=0.5)
    with pytest.warns(UserWarning, match=r"keeps \d+ weights active, this Sparsifier \d+: density 0\.25"):
        Problem(density=0.25).sparse.load_state_dict(problem.sparse.state_dict())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"exclude": None}, "exclude None"),
        ({"exclude": ["3", 4]}, "exclude 4"),
        ({"init": {"masks": {}, "iteration": 3}}, r"give its \['masks'\]"),
        ({"init": {"0.weight": {}}}, r"mask '0\.weight' is a dict"),
        ({"method": "Rigle"}, "Rigle.*RigL"),
        ({"init": "erk"}, "erk.*Random.*ER.*ERK"),
        ({"init": None}, "None.*Random"),
        ({"density": 0}, "density 0"),
        ({"density": 1.5}, r"density 1\.5"),
        ({"density": -0.1}, r"density -0\.1"),
        ({"density": float("nan")}, "density nan"),
        ({"delta_t": 0}, "delta_t 0"),
        ({"delta_t": -5}, "delta_t -5"),
        ({"delta_t": 2.5}, r"delta_t 2\.5"),
        ({"alpha": 1.5}, r"alpha 1\.5"),
        ({"alpha": -0.1}, r"alpha -0\.1"),
        ({"alpha": float("nan")}, "alpha nan"),
        ({"t_end": -1}, "t_end -1"),
        ({"t_end": None}, "t_end None.*whole number.*needs the iteration"),
        ({"t_end": 0.75}, r"t_end 0\.75 .*0\.75 · all"),
        ({"t_end": float("nan")}, "t_end nan"),
        ({"delta_t": float("nan")}, "delta_t nan"),
        ({"delta_t": True}, "delta_t True"),
        ({"alpha": True}, "alpha True"),
        ({"density": "0.1"}, "density '0.1'"),
        ({"method": "Pruning", "prune_start": 0.5}, r"prune_start 0\.5"),
        ({"init": lambda shapes, density: dict.fromkeys(shapes, math.nan)}, r"density of layer '0\.weight' nan"),
        ({"init": lambda shapes, density: dict.fromkeys(shapes, 1.5)}, r"density of layer '0\.weight' 1\.5"),
        ({"init": lambda shapes, density: {"0.weight": 0.5}}, r"density of layer '3\.weight' None"),
    ],
)
def test_bad_arguments_are_named_with_what_is_allowed(options, named):
    with pytest.raises(ValueError, match=named):
        Problem(**options)


@pytest.mark.parametrize(
    ("model", "init"),
    [
        (nn.Sequential(nn.BatchNorm1d(4)), "ERK"),
        (nn.Sequential(nn.Linear(4, 4)), "Random"),  # its only layer is the first, which stays dense
        (nn.Sequential(nn.Linear(4, 0)), "ERK"),
    ],
)
@pytest.mark.parametrize("method", ["RigL", "Pruning"])
def test_nothing_to_mask_is_an_error(model, init, method):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    why = "0.weight is the first layer" if init == "Random" else "none is trained"
    with pytest.raises(ValueError, match=f"no layer to mask: {why}"):
        Sparsifier(model, optimizer, method, init, t_end=10)


def test_a_sparsifier_says_what_it_is():
    assert repr(Problem().sparse) == "Sparsifier(RigL, weight, density 0.3, 3 layers, iteration 0)"


def test_a_step_without_gradients_is_a_clear_error():
    problem = Problem(delta_t=1)
    with pytest.raises(ValueError, match="there is no gradient: call backward"):
        problem.sparse.step()
