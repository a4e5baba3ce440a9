"""The published code's scores of whole kernels, in which signs cancel: by hand, and beside plain loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rigl_nb.published_code import PublishedCode
from rigl_nb.sparsifier import Sparsifier


def updated(weight, grad, mask, behaviours, alpha):
    """The kernels, (outputs, inputs), that the first update leaves."""
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], bias=False).double()
    layer.weight.data = weight.clone()
    options = {"alpha": alpha, "delta_t": 1, "t_end": 10**9, "structure": "kernel"}
    kind = PublishedCode if behaviours else Sparsifier
    options |= {"behaviours": behaviours} if behaviours else {}
    whole = mask[..., None, None].expand_as(weight).clone()
    sparse = kind(layer, torch.optim.SGD(layer.parameters(), lr=0.1), "RigL", {"weight": whole}, **options)
    layer.weight.grad = grad.clone()
    assert sparse.step()
    new = sparse.masks["weight"]
    assert torch.equal(new, new[..., :1, :1].expand_as(new)), "whole kernels"
    return new[..., 0, 0]


def test_large_weights_of_both_signs_go_first():
    """Four kernels of 1 × 2, two live: (9, −9) and (1, 1). Of the dead, gradients (8, −8) and (2, 2); one moves.

    By mean |w| and mean |g| the small kernel goes and the one of large gradients comes; by |mean| it is the other way.
    """
    weight = torch.tensor([9.0, -9, 1, 1, 0, 0, 0, 0], dtype=torch.float64).view(4, 1, 1, 2)
    grad = torch.tensor([0.0, 0, 0, 0, 8, -8, 2, 2], dtype=torch.float64).view(4, 1, 1, 2)
    mask = torch.tensor([True, True, False, False])[:, None]
    assert updated(weight, grad, mask, (), 0.5)[:, 0].tolist() == [True, False, True, False]
    assert updated(weight, grad, mask, ("signed-kernels",), 0.5)[:, 0].tolist() == [False, True, False, True]


def signed(weight, grad, mask, count):
    """The same by plain loops: off go the live kernels of smallest |mean w|, on come those of largest |mean g|."""
    new = mask.copy()
    places = [tuple(place) for place in np.ndindex(*mask.shape)]
    rank = {place: number for number, place in enumerate(places)}
    drop = sorted((p for p in places if mask[p]), key=lambda p: (-abs(weight[p].sum()), rank[p]))
    for place in drop[len(drop) - count :]:
        new[place] = False
    for place in sorted((p for p in places if not new[p]), key=lambda p: (-abs(grad[p].sum()), rank[p]))[:count]:
        new[place] = True
    return new


@pytest.mark.parametrize(
    ("behaviours", "rounded"), [(("signed-kernels",), math.floor), (("signed-kernels", "ceil"), math.ceil)]
)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 999), st.sampled_from([0.3, 0.5, 1.0]))
def test_beside_loops(behaviours, rounded, outputs, inputs, seed, alpha):
    """Small whole numbers, so that sums are exact and ties decide."""
    draw = torch.Generator().manual_seed(seed)
    weight, grad = (torch.randint(-2, 3, (outputs, inputs, 2, 2), generator=draw).double() for _ in range(2))
    mask = torch.rand(outputs, inputs, generator=draw) < 0.6
    if not mask.any():
        mask[0, 0] = True
    weight *= mask[..., None, None]
    found = updated(weight, grad, mask, behaviours, alpha)
    want = signed(weight.numpy(), grad.numpy(), mask.numpy(), rounded(alpha * int(mask.sum())))
    assert np.array_equal(found.numpy(), want)
