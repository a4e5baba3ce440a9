"""Where an attached Sparsifier meets the rest of an optimizer's life: derived classes, gradients, states."""

import copy

import pytest
import torch
from holding import assert_holds, backward, network, sparsified
from test_attach import assert_equal, pair
from torch import nn


class Derived(torch.optim.SGD):
    """As people derive one: its step calls that of the class above, and torch runs the hooks of both."""

    def step(self, closure=None):
        return super().step(closure)


def test_a_step_that_calls_another_is_one_iteration():
    torch.optim.SGD(network().parameters(), lr=0.1)  # after which torch's own step has hooks as well
    model = network()
    sparsifier = sparsified(model, Derived(model.parameters(), lr=0.1), "RigL").attach()
    calls = []
    sparsifier.optimizer.register_step_post_hook(lambda *_: calls.append(1))
    for t in range(7):
        backward(model, t)
        if t == 4:  # a step that fails leaves nothing behind
            with pytest.raises(ZeroDivisionError):
                sparsifier.optimizer.step(lambda: 1 / 0)
        sparsifier.optimizer.step()
        assert_holds(sparsifier)
    assert sparsifier.iteration == 7 and len(calls) == 14  # torch did run them twice


def test_gradients_are_there_after_an_update():
    """As after `step()`: who logs them, or looks at them later, finds the masked ones."""
    one, other = pair(method="RigL", alpha=0.6)
    for t in range(4):
        backward(one[0], t)
        backward(other[0], t)
        one[2].step()
        other[1].step()
        for a, b in zip(one[0].parameters(), other[0].parameters(), strict=True):
            assert torch.equal(a.grad, b.grad)


def test_a_step_without_any_gradient_is_no_iteration():
    _, (model, optimizer, sparsifier) = pair(method="RigL", delta_t=1)
    optimizer.step()
    assert sparsifier.iteration == 0
    sparsifier.detach()
    with pytest.raises(ValueError, match=r"no gradient: call backward\(\)"):
        sparsifier.step()
    nn.functional.mse_loss(model[4].bias, torch.ones(10)).backward()  # somebody trains something else for a while
    with pytest.warns(UserWarning, match="no gradient, so their masks stay"):
        sparsifier.step()
    assert sparsifier.iteration == 1


@pytest.mark.parametrize("method", ["SET", "SNFS", "Pruning"])
def test_the_optimizers_state_carries_the_masks(method):
    """A trainer that saves and resumes model and optimizer, and knows of nothing else, resumes the masks."""
    _, straight = pair(method=method)
    for t in range(5):
        backward(straight[0], t)
        straight[1].step()
    states = copy.deepcopy([part.state_dict() for part in straight[:2]])
    resumed = pair(method=method, seed=7)[1]
    for part, state in zip(resumed[:2], states, strict=True):
        part.load_state_dict(state)
    for t in range(5, 12):
        for model, optimizer, _ in (straight, resumed):
            backward(model, t)
            optimizer.step()
        assert_equal(straight, resumed)
    assert resumed[2].iteration == 12
    resumed[2].detach()
    assert "sparsifier" not in resumed[1].state_dict()
    with pytest.warns(UserWarning, match="state has no masks"):
        straight[1].load_state_dict(resumed[1].state_dict())
