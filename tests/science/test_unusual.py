"""Numbers of other kinds, layers that stand still or are empty, scores of one's own: accepted, said, or refused."""

import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from holding import assert_holds, backward, momentum, network, sparsified
from torch import nn

from rigl_nb import methods
from rigl_nb.sparsifier import Sparsifier


@pytest.mark.parametrize("numbers", [np.int64, np.int32, np.uint8])
def test_numbers_and_masks_of_numpy_are_as_good(numbers):
    masks = {"0.weight": np.arange(240).reshape(20, 12) % 3 == 0, "2.weight": np.ones((16, 20), dtype=bool)}
    given = {"delta_t": numbers(4), "t_end": numbers(20), "seed": numbers(3), "alpha": np.float32(0.5), "init": masks}
    plain = {
        "delta_t": 4,
        "t_end": 20,
        "seed": 3,
        "alpha": 0.5,
        "init": {n: torch.from_numpy(m) for n, m in masks.items()},
    }
    ends = []
    for options in (given, plain):
        model = network()
        sparsifier = sparsified(model, method="SET", **options)
        for t in range(9):
            backward(model, t)
            sparsifier.step()
        state = sparsifier.state_dict()
        sparsifier.load_state_dict(
            state | {"masks": {n: m.numpy() for n, m in state["masks"].items()}, "iteration": numbers(9)}
        )
        assert type(sparsifier.state_dict()["iteration"]) is int
        ends.append(torch.cat([w.detach().flatten() for w in sparsifier.weights.values()]))
    assert torch.equal(*ends)
    assert sparsified(network(), density=np.float64(0.2)).counts() == sparsified(network(), density=0.2).counts()
    assert masks["0.weight"].sum() == 80  # what was given is not written to


MOVING = sorted(name for name in methods.BUILT_IN if methods.get(name).moves)


@pytest.mark.parametrize("method", MOVING)
@pytest.mark.parametrize("why", ["frozen", "unused"])
def test_a_layer_without_a_gradient_keeps_its_mask(why, method):
    """Frozen later, or not reached by the loss (LayerDrop, an auxiliary head): said once, and the others move."""
    model = network()
    sparsifier = sparsified(model, method=method, alpha=0.6)
    before = {name: mask.clone() for name, mask in sparsifier.masks.items()}
    still = "2.weight"
    if why == "frozen":
        model[2].requires_grad_(False)
    told = []
    for t in range(7):
        backward(model, t)
        if why == "unused":
            model[2].weight.grad = None
        with pytest.warns(UserWarning, match=f"their masks stay: {still}$") if t == 2 else nullcontext():
            sparsifier.step()
        assert_holds(sparsifier)
        told.append(torch.equal(sparsifier.masks[still], before[still]))
    assert all(told)
    others = [name for name in sparsifier.masks if name != still]
    assert any(not torch.equal(sparsifier.masks[name], before[name]) for name in others)
    if method != "Pruning":
        assert sum(sparsifier.counts().values()) == sum(int(mask.sum()) for mask in before.values())
    model[2].requires_grad_(True)
    for t in range(9, 12):
        backward(model, t)
        sparsifier.step()
    assert not torch.equal(sparsifier.masks[still], before[still])


def test_pruning_around_a_frozen_layer_keeps_the_total():
    """As far as the others go. The first layer stays dense, 2.weight is frozen with all of its 320 weights."""
    model = network()
    sparsifier = sparsified(model, method="Pruning", density=0.7, delta_t=1, t_end=4)
    model[2].requires_grad_(False)
    for t in range(6):
        backward(model, t)
        sparsifier.step()
    assert sparsifier.counts() == {"2.weight": 320, "4.weight": 16}  # 0.7 of 480 are 336


@pytest.mark.parametrize("init", ["ERK", "Random"])
def test_a_layer_without_weights_is_named(init):
    model = nn.Sequential(nn.Linear(30, 30), nn.Linear(30, 30), nn.Linear(30, 2))
    with pytest.warns(UserWarning, match=r"layers .*2\.weight.* no active weight: no signal passes"):
        sparsified(model, init={"2.weight": torch.zeros(2, 30, dtype=torch.bool)})
    with pytest.warns(UserWarning, match="no active weight"):
        sparsified(model, init=init, density=1e-5)


@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.uint8])
def test_a_score_may_be_of_whole_numbers_or_of_yes_and_no(kind):
    methods.METHODS.pop("whole", None)
    grow = methods.Method(
        "whole", growth=lambda layer, generator: (layer.grad.abs() > layer.grad.abs().median()).to(kind)
    )
    methods.register(grow)
    try:
        model = network()
        sparsifier = sparsified(model, method="whole", alpha=1.0)
        for t in range(4):
            backward(model, t)
            before, active = sparsifier.counts(), {name: mask.clone() for name, mask in sparsifier.masks.items()}
            grads = {name: w.grad.abs() for name, w in sparsifier.weights.items()}
            large = {name: active[name] | (g > g.median()) for name, g in grads.items()}
            if sparsifier.step():
                assert not any((mask & ~large[name]).any() for name, mask in sparsifier.masks.items())
                assert any((mask & ~active[name]).any() for name, mask in sparsifier.masks.items())
            assert sparsifier.counts() == before
    finally:
        del methods.METHODS["whole"]


@pytest.mark.parametrize("wrong", [lambda layer, generator: 1.0, lambda layer, generator: layer.grad.abs().sum(1)])
def test_a_score_of_another_shape_is_refused(wrong):
    methods.METHODS.pop("wrong", None)
    methods.register(methods.Method("wrong", growth=wrong))
    try:
        model = network()
        sparsifier = sparsified(model, method="wrong", delta_t=1)
        backward(model)
        with pytest.raises(ValueError, match=r"score of method wrong .* numbers \(20, 12\)"):
            sparsifier.step()
    finally:
        del methods.METHODS["wrong"]


def test_matrices_that_are_in_no_layer_are_said():
    """Their FLOPs count as dense; masks cannot know what they are for."""

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.free = network(), nn.Parameter(torch.randn(12, 12))
            self.place, self.read = nn.Parameter(torch.randn(1, 12)), nn.Embedding(5, 12)

    model = Own()
    with pytest.warns(UserWarning, match=r"^free are in no layer of torch's and stay dense"):
        assert len(sparsified(model).masks) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sparsified(model, exclude=["free"])
        sparsified(network())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda model: {"model": model.parameters()}, "model generator is not allowed"),
        (lambda model: {"init": lambda shapes, density: None}, r"density of layer '0\.weight' None"),
        (lambda model: {"seed": 1.5}, r"seed 1\.5"),
        (lambda model: {"seed": None}, "seed None"),
    ],
)
def test_what_is_given_wrongly_is_named(change, named):
    model = network()
    options = {"model": model, "optimizer": momentum(model), "method": "Static"} | change(model)
    with pytest.raises(ValueError, match=named):
        Sparsifier(**options)


def test_updates_that_never_come_are_said():
    with pytest.warns(UserWarning, match="delta_t 100 is beyond t_end 75: masks never change"):
        sparsified(network(), method="RigL", delta_t=100, t_end=75)
    sparsified(network(), method="RigL", delta_t=75, t_end=75)  # at 74


def test_a_network_that_is_sparse_already_is_told():
    """Who makes the Sparsifier after the checkpoint was loaded gets masks that destroy what was trained."""
    model = network()
    first = sparsified(model)
    with pytest.warns(UserWarning, match=r"^0\.weight, 2\.weight, 4\.weight are sparse already, with other masks"):
        sparsified(model, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sparsified(model, init=first.masks)
        sparsified(network(1), seed=1)


def test_two_parameters_in_one_memory_are_refused():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.LSTM(8, 8))
    sparsified(model)  # an LSTM's matrices may lie one after the other
    model[1].weight.data = model[0].weight.data
    with pytest.raises(ValueError, match=r"0\.weight and 1\.weight share memory"):
        sparsified(model)
    sparsified(model, exclude="1")
    model[1].weight = model[0].weight
    assert sparsified(model).masks.keys().isdisjoint({"1.weight"})


def test_a_density_that_whole_numbers_in_rows_cannot_give_is_told():
    """20 inputs at density 0.12 want 2.4 in each row, and get 2: 0.1."""
    rows = {"structure": "fan-in", "init": "Random"}  # the first layer stays dense
    with pytest.warns(UserWarning, match=r"fan-in gives density 0\.1000 in the place of 0\.1200"):
        sparsified(nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 4)), density=0.12, **rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sparsified(nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 4)), density=0.1, **rows)
