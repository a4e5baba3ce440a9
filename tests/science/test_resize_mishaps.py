"""Loads, second Sparsifiers, evaluations and forgotten calls beside a model that is made compact in place."""

import copy

import pytest
import torch
from test_resize_misuse import started
from torch import nn

from rigl_nb.compact import compact, expand, resize
from rigl_nb.masking.channels import Channel
from rigl_nb.sparsifier import Sparsifier


def normed(norm=nn.BatchNorm2d, seed=0, **options):
    """A convolution, a norm of its 12 channels and what reads them; and how a Sparsifier is made for it."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(2, 12, 3), norm(12, **options), nn.ReLU(), nn.Conv2d(12, 4, 3)).double()
    how = {"density": 0.5, "alpha": 0.5, "delta_t": 3, "t_end": 60, "structure": Channel(groups=[("0", "1", "3")])}
    return model, how


def made(model, how, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return Sparsifier(model, optimizer, init="Random", **how | options)


def iterate(model, sparsifier, count, small=False):
    """Train for some iterations, on batches that the iteration's number gives."""
    for _ in range(count):
        draw = torch.Generator().manual_seed(sparsifier.iteration)
        sparsifier.optimizer.zero_grad()
        if small:
            resize(model, sparsifier)
        model(torch.randn(4, 2, 8, 8, generator=draw, dtype=torch.float64)).square().mean().backward()
        sparsifier.step()


@pytest.mark.parametrize("small", [False, True])
def test_what_is_loaded_later_counts_like_what_was_there(small):
    """Weights and running statistics of another training, loaded before a Sparsifier is made or after: one training."""
    pretrained, how = normed(seed=1)
    for _ in range(5):
        pretrained(5 + 3 * torch.randn(4, 2, 8, 8, dtype=torch.float64))
    ends = []
    for late in (False, True):
        model, _ = normed()
        sparsifier = made(model, how) if late else None
        model.load_state_dict(pretrained.state_dict())
        sparsifier = sparsifier or made(model, how)
        sparsifier.apply()
        iterate(model, sparsifier, 14, small)
        expand(sparsifier)
        ends.append(model.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize("attached", [False, True])
def test_after_a_forgotten_resize_the_update_waits_for_new_gradients(attached):
    model, how = normed()
    sparsifier = made(model, how)
    iterate(model, sparsifier, 2, small=True)
    if attached:
        sparsifier.attach()
    model(torch.ones(2, 2, 8, 8, dtype=torch.float64)).sum().backward()
    before = sparsifier.masks["3.weight"].clone()
    with pytest.raises(ValueError, match="the model is compact, and an update of the masks needs it whole"):
        sparsifier.step()
    with pytest.raises(ValueError, match="the model is compact, and an update of the masks needs it whole"):
        sparsifier.update()
    expand(sparsifier)
    if attached:
        sparsifier.step()  # nothing to do: no gradient, no iteration
    else:
        with pytest.raises(ValueError, match=r"there is no gradient: call backward\(\) before step\(\)"):
            sparsifier.step()
    assert sparsifier.iteration == 2 and torch.equal(before, sparsifier.masks["3.weight"])
    iterate(model, sparsifier, 1)
    assert sparsifier.iteration == 3 and not torch.equal(before, sparsifier.masks["3.weight"])


def test_resizing_between_backward_and_step_is_an_error_of_the_step():
    model, _, sparsifier = started()
    model(torch.ones(4, 8, dtype=torch.float64)).sum().backward()
    resize(model, sparsifier)
    with pytest.raises(ValueError, match="there is no gradient"):
        sparsifier.step()


@pytest.mark.parametrize("same", [False, True])
def test_a_second_sparsifier_waits_until_the_model_is_whole(same):
    model, how = normed()
    sparsifier = made(model, how)
    resize(model, sparsifier)
    optimizer = sparsifier.optimizer if same else torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"has made this model compact: call compact\.expand\(\) of that one first"):
        Sparsifier(model, optimizer, init="Random", **how)
    iterate(model, sparsifier, 3, small=True)
    expand(sparsifier)
    assert model[0].out_channels == 12
    Sparsifier(model, optimizer, init="Random", **how)


def test_evaluation_without_autograd_may_resize_and_expand():
    ends = []
    for inside in (False, True):
        model, how = normed()
        sparsifier = made(model, how)
        for _ in range(4):
            iterate(model, sparsifier, 2, small=True)
            with torch.inference_mode(inside):
                expand(sparsifier)
                resize(model, sparsifier)
                model(torch.ones(1, 2, 8, 8, dtype=torch.float64))
        expand(sparsifier)
        ends.append(model.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


NORMS = {
    "batch, without tensors": (nn.BatchNorm2d, {"affine": False, "track_running_stats": False}),
    "instance": (nn.InstanceNorm2d, {}),
    "instance, with tensors": (nn.InstanceNorm2d, {"affine": True, "track_running_stats": True}),
}


@pytest.mark.parametrize("kind", NORMS)
def test_norms_with_and_without_tensors(kind, recwarn):
    """The compact model computes the same, and a compact training is the masked one."""
    norm, options = NORMS[kind]
    ends = []
    for small in (False, True):
        model, how = normed(norm, **options)
        sparsifier = made(model, how)
        iterate(model, sparsifier, 8, small)
        expand(sparsifier)
        ends.append(model.state_dict())
    assert all(torch.allclose(ends[0][name], ends[1][name], rtol=0, atol=1e-12) for name in ends[0])
    less, x = compact(model.eval(), sparsifier), torch.randn(3, 2, 8, 8, dtype=torch.float64)
    assert torch.allclose(model(x), less(x), rtol=0, atol=1e-12)
    assert less[1].num_features == less[0].out_channels < 12


def test_what_cannot_be_resized_is_told_with_the_way_out():
    model, how = normed()
    weights = torch.optim.SGD([p for p in model.parameters() if p.ndim > 1], lr=0.1)
    sparsifier = Sparsifier(model, weights, init="Random", **how)
    with pytest.raises(
        ValueError, match=r"does not step all parameters of hidden channels\. Make one optimizer of them"
    ):
        resize(model, sparsifier)
    assert not sparsifier.left_out
    model[0].bias.requires_grad_(False)
    model[1].requires_grad_(False)
    resize(model, sparsifier)
    expand(sparsifier)
    sparsifier = made(model, how)
    with pytest.raises(ValueError, match="Give the module that the Sparsifier was made with, not one around it"):
        resize(nn.Sequential(model), sparsifier)
    for wrong in (None, "a model"):
        with pytest.raises(ValueError, match=f"model {type(wrong).__name__} is not allowed: it must be a Module"):
            resize(wrong, sparsifier)
        with pytest.raises(ValueError, match=f"model {type(wrong).__name__} is not allowed: it must be a Module"):
            compact(wrong, sparsifier)
    average = copy.deepcopy(model)
    average[3].weight.data.fill_(1.0)
    with pytest.raises(ValueError, match=r"load these weights into the sparsifier's own model, and call its apply\(\)"):
        compact(average, sparsifier)
