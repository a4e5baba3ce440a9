"""Optimizers that move weights by the steps of another one, ask twice, or keep numbers that masks cannot read."""

import copy
import warnings

import pytest
import torch
from holding import assert_holds, backward, momentum, network, sparsified
from torch import nn
from torch.nn.functional import mse_loss


class Around(torch.optim.Optimizer):
    """As SAM and Lookahead are built: its steps do something of their own, and call another optimizer's."""

    def __init__(self, parameters, name="base_optimizer"):
        super().__init__(parameters, {"lr": 0.1})
        vars(self)[name] = torch.optim.SGD(self.param_groups, lr=0.1, momentum=0.9)

    def step(self, closure=None):
        raise AssertionError("nobody gets here")


class Lookahead(Around):
    pass


@pytest.mark.parametrize("name", ["base_optimizer", "optimizer", "_inner"])
def test_one_that_holds_another_is_refused_and_names_it(name):
    model = network()
    around = Around(model.parameters(), name)
    with pytest.raises(ValueError, match=rf"Around is not allowed.* its {name}, SGD\. Give that one"):
        sparsified(model, around)
    sparsified(model, vars(around)[name])


def test_one_that_writes_weights_afterwards_is_refused():
    model = network()
    with pytest.raises(ValueError, match="Lookahead is not allowed: it writes weights after"):
        sparsified(model, Lookahead(model.parameters()))


class AscendsFirst(torch.optim.SGD):
    """SAM in one class: a step up, the gradients there, the step back and down."""

    def step(self, closure=None):
        parameters = [p for group in self.param_groups for p in group["params"]]
        with torch.no_grad():
            up = [0.1 * p.grad for p in parameters]
            for p, move in zip(parameters, up, strict=True):
                p.add_(move)
        with torch.enable_grad():
            closure()
        with torch.no_grad():
            for p, move in zip(parameters, up, strict=True):
                p.sub_(move)
        return super().step()


def test_a_step_that_wants_gradients_at_other_weights_is_refused():
    model = network()
    optimizer = AscendsFirst(model.parameters(), lr=0.1)
    sparsified(model, optimizer).attach()
    with pytest.raises(ValueError, match=r"AscendsFirst is not allowed with attach\(\): it moves weights, then asks"):
        optimizer.step(lambda: backward(model))


class KeepsZeros(torch.optim.SGD):
    """As optimizers were before torch 2.0: gradients of 0 are a step of momentum and weight decay."""

    def zero_grad(self, set_to_none=False):
        super().zero_grad(set_to_none)


def test_an_update_is_no_step_whatever_zero_grad_does():
    ends = []
    for attached in (False, True):
        model = network()
        optimizer = KeepsZeros(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
        sparsifier = sparsified(model, optimizer, "RigL")
        step = sparsifier.attach().optimizer.step if attached else sparsifier.step
        for t in range(7):
            backward(model, t)
            step()
        ends.append(nn.utils.parameters_to_vector(model.parameters()))
    assert torch.equal(*ends)


def test_momentum_that_is_turned_on_later_is_masked_too():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sparsifier = sparsified(model, optimizer, "RigL", alpha=0.6).attach()
    for t in range(14):
        optimizer.param_groups[0]["momentum"] = 0.9 if t > 3 else 0.0
        backward(model, t)
        optimizer.step()
        assert_holds(sparsifier)
    assert all("momentum_buffer" in optimizer.state[weight] for weight in sparsifier.weights.values())


def test_momentum_that_is_loaded_goes_on_as_it_was():
    """The optimizer is made without momentum; its state brings that along, as torch loads hyperparameters."""
    model = network()
    optimizer = momentum(model)
    sparsified(model, optimizer, "RigL").attach()
    for t in range(7):
        backward(model, t)
        optimizer.step()
    other = network(1)
    bare = torch.optim.SGD(other.parameters(), lr=0.5)
    sparsifier = sparsified(other, bare, "RigL").attach()
    states = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    for part, state in zip((other, bare), states, strict=True):
        part.load_state_dict(state)
    for t in range(7, 20):
        for net, steps in ((model, optimizer), (other, bare)):
            backward(net, t)
            steps.step()
        assert_holds(sparsifier)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


class Coded(torch.optim.SGD):
    """Momentum in 8 bits for large weights, as codes of which 127 is 0; for small ones as it is."""

    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            kind = torch.uint8 if p.numel() > 100 else torch.float32
            self.state[p].setdefault("state1", torch.full_like(p, 127.0, dtype=kind))


def test_codes_of_eight_bits_are_refused():
    model = network()
    sparsifier = sparsified(model, Coded(model.parameters(), lr=0.1))
    backward(model)
    with pytest.raises(ValueError, match="Coded is not allowed: its state1 is kept in 8 bits"):
        sparsifier.step()


class Rows(torch.optim.SGD):
    """Keeps a number for each row of a weight, of the weight's own shape where that is square: not of its entries."""

    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            self.state[p].setdefault("rows", torch.ones(p.shape[0], p.shape[0]))


def test_what_only_looks_like_entries_is_left_alone():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    sparsifier = sparsified(model, Rows(model.parameters(), lr=0.1))
    mse_loss(model(torch.ones(2, 8)), torch.ones(2, 8)).backward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sparsifier.step()
    assert all((sparsifier.optimizer.state[w]["rows"] == 1).all() for w in sparsifier.weights.values())
