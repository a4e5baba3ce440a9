"""`attach()`: any loop's `optimizer.step()` does what `step()` does, bit for bit, in torch's own recipes."""

import copy
import inspect
import warnings

import pytest
import torch
from holding import assert_holds, backward, momentum, network, sparsified
from torch import nn
from torch.nn.functional import cross_entropy

from rigl_nb import methods
from rigl_nb.sparsifier import Sparsifier

METHODS = sorted(methods.BUILT_IN - {"Small-Dense", "Lottery"})
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
    "accelerated": lambda p: torch.optim.NAdam(p, lr=0.01),
}
PAIRS = [(m, o) for m in METHODS for o in OPTIMIZERS if not (methods.get(m).needs_momentum and o in ("sgd", "rprop"))]


def everything(model, optimizer, sparsifier):
    """All numbers of a training, in an order; gradients of an update aside."""
    parts = copy.deepcopy([part.state_dict() for part in (model, optimizer, sparsifier)])
    parts[1].pop("sparsifier", None)  # which an attached one adds
    return [torch.as_tensor(leaf) for leaf in torch.utils._pytree.tree_leaves(parts) if leaf is not None]


def pair(kind="nesterov", **options):
    """One training written out, and the same one attached."""
    trainings = []
    for attached in (False, True):
        model = network()
        optimizer = OPTIMIZERS[kind](model.parameters())
        sparsifier = sparsified(model, optimizer, **options)
        if attached:
            assert sparsifier.attach() is sparsifier
        trainings.append((model, optimizer, sparsifier))
    return trainings


def assert_equal(one, other):
    for a, b in zip(everything(*one), everything(*other), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_both_ways_give_the_same_numbers(method, kind):
    density = {"density": 1.0} if method == "Dense" else {}
    one, other = pair(kind, method=method, alpha=0.6, **density)
    updates = []
    for t in range(14):
        backward(one[0], t)
        backward(other[0], t)
        updates.append(one[2].step())
        other[1].step()
        assert_equal(one, other)
        assert_holds(other[2], {"step_size": torch.tensor(0.01).item()})
    assert sum(updates) == (4 if methods.get(method).moves else 0)


def test_an_update_moves_nothing_but_connections():
    """The optimizer finds no gradient then: no bias, no weight that stays, no step count of its own."""
    _, (model, optimizer, sparsifier) = pair("adamw", method="RigL", alpha=0.6)
    for t in range(2):
        backward(model, t)
        optimizer.step()
    weights, states = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict()["state"])
    masks = {name: mask.clone() for name, mask in sparsifier.masks.items()}
    backward(model, 2)
    optimizer.step()
    for index, (name, parameter) in enumerate(model.named_parameters()):
        same = masks.get(name, torch.tensor(True)) & sparsifier.masks.get(name, torch.tensor(True))
        same = same.expand_as(parameter)
        assert torch.equal(parameter[same], weights[name][same])
        assert torch.equal(optimizer.state[parameter]["exp_avg"][same], states[index]["exp_avg"][same])
        assert optimizer.state[parameter]["step"] == states[index]["step"]
    assert any(not torch.equal(mask, masks[name]) for name, mask in sparsifier.masks.items())


def test_an_attached_sparsifier_steps_once_however_it_is_called():
    one, other = pair(method="SET")
    for t in range(8):
        backward(one[0], t)
        backward(other[0], t)
        assert one[2].step() == other[2].step()  # `other` through its optimizer
        assert_equal(one, other)
    assert other[2].iteration == 8


def test_detached_it_leaves_the_optimizer_alone():
    _, (model, optimizer, sparsifier) = pair(method="RigL")
    sparsifier.detach()
    backward(model)
    optimizer.step()
    assert sparsifier.iteration == 0
    assert any(weight[~sparsifier.masks[name]].any() for name, weight in sparsifier.weights.items())
    backward(model, 1)
    sparsifier.step()
    assert_holds(sparsifier)


def test_a_plain_step_between_is_no_iteration_and_is_masked_by_the_next():
    model = network()
    sparsifier = sparsified(model, method="RigL")
    for t in range(9):
        backward(model, t)
        sparsifier.optimizer.step()
        backward(model, t + 50)
        sparsifier.step()
        assert_holds(sparsifier)
    assert sparsifier.iteration == 9


def test_a_closure_is_all_of_an_iteration():
    """As Lightning hands one to the optimizer: zero_grad, forward and backward are in it. `step` takes one as well."""
    one, other = pair(method="RigL", alpha=0.6)
    other[2].detach()
    for t in range(8):
        backward(one[0], t)
        assert one[2].step() == other[2].step(lambda t=t: backward(other[0], t))
        assert_equal(one, other)


def test_a_closure_may_be_given_by_name_or_place():
    ends = []
    for form in ("place", "name", "before"):
        _, (model, optimizer, sparsifier) = pair(method="RigL", alpha=0.6)
        for t in range(8):

            def closure(t=t, model=model):
                backward(model, t)
                return torch.tensor(float(t))

            if form == "before":
                closure()
                optimizer.step()
            else:
                loss = optimizer.step(closure) if form == "place" else optimizer.step(closure=closure)
                assert loss == float(t)
            assert_holds(sparsifier)
        ends.append(everything(model, optimizer, sparsifier))
    for other in ends[1:]:
        assert all(torch.equal(a, b) for a, b in zip(ends[0], other, strict=True))


@pytest.mark.parametrize("kind", ["nesterov", "fused"])
@pytest.mark.parametrize("method", ["Static", "RigL", "RigL-SG", "SNFS", "Pruning"])
def test_the_mixed_precision_recipe_of_torch(method, kind):
    """A step that GradScaler skips is no iteration, its update comes later; scaled gradients rank as others do."""
    (plain, _, p_sparsifier), (model, optimizer, sparsifier) = pair(kind, method=method, alpha=0.6)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=4)
    done = 0
    for t in range(14):
        optimizer.zero_grad()
        stream = torch.Generator().manual_seed(t)
        x, y = torch.randn(16, 12, generator=stream), torch.randint(0, 10, (16,), generator=stream)
        loss = cross_entropy(model(x), y)
        if t in (0, 2, 5):
            loss = loss * torch.inf
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        assert_holds(sparsifier)
        assert all(torch.isfinite(p).all() for p in model.parameters())
        if t not in (0, 2, 5):
            done += 1
            backward(plain, t)
            p_sparsifier.step()
        assert sparsifier.iteration == done
    for name, mask in p_sparsifier.masks.items():  # powers of two scale without rounding
        assert torch.equal(mask, sparsifier.masks[name])
    for a, b in zip(plain.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_clipping_and_unscaling_before_the_step():
    _, (model, optimizer, sparsifier) = pair(method="RigL", alpha=0.6)
    scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
    for t in range(8):
        optimizer.zero_grad()
        stream = torch.Generator().manual_seed(t)
        for _ in range(2):  # accumulated over two parts of a batch
            x, y = torch.randn(8, 12, generator=stream), torch.randint(0, 10, (8,), generator=stream)
            scaler.scale(cross_entropy(model(x), y) / 2).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        scaler.step(optimizer)
        scaler.update()
        assert_holds(sparsifier)
    assert sparsifier.iteration == 8


def test_schedulers_of_the_learning_rate_wrap_the_same_step():
    """They replace `optimizer.step` by one that counts; made before or after, masks are updated once an iteration."""
    ends = []
    for first in (True, False):
        model = network()
        optimizer = momentum(model)
        make = [lambda o=optimizer: torch.optim.lr_scheduler.StepLR(o, 3, 0.5)]
        make.insert(0 if first else 1, lambda m=model, o=optimizer: sparsified(m, o, "RigL").attach())
        parts = [build() for build in make]
        scheduler, sparsifier = (parts[1], parts[0]) if first else parts
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for t in range(8):
                backward(model, t)
                optimizer.step()
                scheduler.step()
        assert sparsifier.iteration == 8
        ends.append(everything(model, optimizer, sparsifier))
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_what_torch_gives_a_fused_optimizer_is_read():
    """GradScaler sets these two for the time of a step; if torch renames them, this test says so."""
    source = inspect.getsource(torch.amp.GradScaler.step)
    assert "optimizer.grad_scale" in source and "optimizer.found_inf" in source


def test_wrapped_optimizers_are_looked_into():
    class Wrapper(torch.optim.Optimizer):
        __module__ = "accelerate.optimizer"  # of a package that is known to pass everything on

        def __init__(self, optimizer):
            self.optimizer = optimizer

        def step(self, closure=None):
            self.optimizer.step(closure)

    model = network()
    inner = momentum(model)
    wrapper = Wrapper(Wrapper(inner))
    sparsifier = Sparsifier(model, wrapper, density=0.2, delta_t=3, t_end=30).attach()
    assert sparsifier.optimizer is inner
    for t in range(7):
        backward(model, t)
        wrapper.step()
        assert_holds(sparsifier)
    assert sparsifier.iteration == 7
