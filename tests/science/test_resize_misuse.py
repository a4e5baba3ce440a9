"""A model that is made compact in place, by somebody who holds on to things or takes the wrong ones."""

import copy

import pytest
import torch
from torch import nn

from rigl_nb.compact import compact, expand, resize
from rigl_nb.masking.channels import Channel
from rigl_nb.sparsifier import Sparsifier


def started(dtype=torch.float64, rows=("0",)):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    how = {"density": 0.5, "delta_t": 5, "t_end": 100, "structure": Channel(groups=[(*rows, "2")])}
    return model, optimizer, Sparsifier(model, optimizer, init="Random", **how)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_what_is_left_of_the_last_graph_does_not_disturb(dtype):
    """Nearly every loop keeps its loss until the next one: with it autograd keeps the sizes that it has seen."""
    weights = []
    for small in (False, True):
        model, optimizer, sparsifier = started(dtype)
        draw, losses = torch.Generator().manual_seed(0), []
        for _ in range(12):
            optimizer.zero_grad()
            if small:
                resize(model, sparsifier)
            output = model(torch.randn(4, 8, generator=draw).to(dtype))
            losses.append(output.square().mean())
            losses[-1].backward()
            sparsifier.step()
        expand(sparsifier)
        weights.append([parameter.detach() for parameter in model.parameters()])
    close = {torch.float16: 1e-2, torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    assert all(torch.allclose(*pair, rtol=0, atol=close) for pair in zip(*weights, strict=True))


def test_a_copy_is_not_resized_in_the_models_place():
    model, _, sparsifier = started()
    with pytest.raises(ValueError, match="does not hold the sparsifier's parameters"):
        resize(copy.deepcopy(model), sparsifier)
    assert not sparsifier.left_out


def test_another_model_is_not_taken_for_a_compact_one():
    model, _, sparsifier = started()
    average = copy.deepcopy(model)
    resize(model, sparsifier)
    with pytest.raises(ValueError, match=r"call expand\(sparsifier\)"):
        compact(average, sparsifier)
    assert compact(model, sparsifier)[0].out_features == 8
    expand(sparsifier)
    assert compact(average, sparsifier)[0].out_features == 8


def test_no_state_is_saved_without_its_dead_channels():
    model, _, sparsifier = started()
    resize(model, sparsifier)
    with pytest.raises(ValueError, match="a state needs it whole"):
        sparsifier.state_dict()
    expand(sparsifier)
    assert sparsifier.state_dict()["iteration"] == 0


@pytest.mark.parametrize("call", [resize, compact, lambda sparsifier, model: expand(model)])
def test_arguments_that_have_changed_places_are_named(call):
    model, _, sparsifier = started()
    with pytest.raises(ValueError, match=r"Sequential is no Sparsifier: resize\(model, sparsifier\)"):
        call(sparsifier, model)


@pytest.mark.parametrize("mixing", [nn.GroupNorm(1, 16, affine=False), nn.LayerNorm(16, elementwise_affine=False)])
def test_a_norm_over_channels_has_no_compact_model_also_without_parameters(mixing):
    model, _, sparsifier = started(rows=("0", "1"))
    model[1] = mixing
    with pytest.raises(ValueError, match="is not known to see each channel alone"):
        compact(model, sparsifier)
