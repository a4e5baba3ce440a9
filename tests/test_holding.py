"""Masks hold whatever a training did before, loads, copies or freezes; what does not fit changes nothing."""

import copy
import io
import math
import pickle
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rigl_nb import methods
from rigl_nb.sparsifier import Sparsifier


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 10))


def momentum(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)


def backward(model, t=0):
    stream = torch.Generator().manual_seed(t)
    x, y = torch.randn(16, 12, generator=stream), torch.randint(0, 10, (16,), generator=stream)
    model.zero_grad()
    cross_entropy(model(x), y).backward()


def dense_steps(model, optimizer, steps=30):
    for t in range(steps):
        backward(model, t)
        optimizer.step()


def sparsified(model, optimizer=None, method="Static", **options):
    return Sparsifier(
        model, optimizer or momentum(model), method, **({"density": 0.2, "delta_t": 3, "t_end": 30} | options)
    )


def kept_of(sparsifier, name):
    """The optimizer's buffers of a weight's shape."""
    weight = sparsifier.weights[name]
    state = sparsifier.optimizer.state.get(weight, {})
    return {key: v for key, v in state.items() if torch.is_tensor(v) and v.shape == weight.shape}


def assert_holds(sparsifier, start=0.0):
    """Inactive weights are 0, their buffers at the start; counts are the masks'."""
    for name, weight in sparsifier.weights.items():
        off = ~sparsifier.masks[name]
        assert not weight[off].any(), name
        assert sparsifier.counts()[name] == int(sparsifier.masks[name].sum())
        for key, buffer in {} if sparsifier.method.dense_momentum else kept_of(sparsifier, name).items():
            value = start.get(key, 0.0) if isinstance(start, dict) else start
            assert (buffer[off] == value).all(), (name, key)


MASKED = ["Static", "SET", "RigL", "RigL-SM", "SNFS", "Pruning"]


@pytest.mark.parametrize("method", MASKED)
@pytest.mark.parametrize("kind", [momentum, lambda m: torch.optim.Adam(m.parameters())], ids=["momentum", "adam"])
def test_old_momentum_revives_nothing(kind, method):
    model = network()
    optimizer = kind(model)
    dense_steps(model, optimizer)
    sparsifier = sparsified(model, optimizer, method)
    assert_holds(sparsifier)
    for t in range(7):
        backward(model, t)
        sparsifier.step()
        assert_holds(sparsifier)
    if method == "Static":
        assert sum(int(w.count_nonzero()) for w in sparsifier.weights.values()) == sum(sparsifier.counts().values())


@pytest.mark.parametrize("method", MASKED)
def test_weights_and_momentum_that_are_loaded_later_are_masked_by_the_next_step(method):
    """At an update too, and although the optimizer's buffers are other tensors by then."""
    trained = network(1)
    other = momentum(trained)
    dense_steps(trained, other)
    for before in (0, 2):  # steps until the load; the third replaces the optimizer's step under all methods but Static
        model = network()
        sparsifier = sparsified(model, method=method)
        for t in range(before):
            backward(model, t)
            sparsifier.step()
        model.load_state_dict(trained.state_dict())
        sparsifier.optimizer.load_state_dict(other.state_dict())
        backward(model, 9)
        sparsifier.step()
        assert_holds(sparsifier)
        active = [w[sparsifier.masks[name]] for name, w in sparsifier.weights.items()]
        assert all(values.any() for values in active)


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        (lambda p: torch.optim.Rprop(p, lr=0.03), {"step_size": 0.03}),
        (lambda p: torch.optim.Adagrad(p, lr=0.1, initial_accumulator_value=0.5), {"sum": 0.5}),
        (lambda p: torch.optim.Adamax(p, lr=0.1), {"exp_inf": 1e-8}),
        (lambda p: torch.optim.Muon(p, lr=0.1), {}),
    ],
    ids=["Rprop", "Adagrad", "Adamax", "Muon"],
)
def test_a_grown_connection_starts_as_the_optimizer_would_start_it(kind, start):
    """Rprop moves by a step size that it adapts: from 0 it would never move again."""
    model = network()
    optimizer = kind([p for p in model.parameters() if p.ndim > 1])
    dense_steps(model, optimizer, 5)
    sparsifier = sparsified(model, optimizer, "RigL", alpha=0.9, delta_t=4)
    start = {key: torch.tensor(value).item() for key, value in start.items()}
    assert_holds(sparsifier, start)
    for t in range(12):
        before = {name: mask.clone() for name, mask in sparsifier.masks.items()}
        backward(model, t)
        if not sparsifier.step():
            assert_holds(sparsifier, start)
            continue
        grown = {name: mask & ~before[name] for name, mask in sparsifier.masks.items()}
        assert any(mask.any() for mask in grown.values())
        for name, new in grown.items():
            assert all((v[new] == start.get(key, 0)).all() for key, v in kept_of(sparsifier, name).items())
        backward(model, t + 50)
        sparsifier.step()
        moved = torch.cat([sparsifier.weights[name][new] for name, new in grown.items()])
        assert moved.count_nonzero() > 0.5 * len(moved)  # not all: a hidden unit may be off


class Stateful(torch.optim.SGD):
    """An optimizer with more than its class declares: a copy of it cannot take a step."""

    def __init__(self, parameters):
        super().__init__(parameters, lr=0.1, momentum=0.9)
        self.own = 1.0

    def step(self, closure=None):
        assert self.own
        return super().step(closure)


def test_an_optimizer_that_cannot_be_tried_has_buffers_that_start_at_zero():
    model = network()
    optimizer = Stateful(model.parameters())
    dense_steps(model, optimizer, 5)
    sparsifier = sparsified(model, optimizer, "SNFS")
    assert sparsifier.starts["0.weight"] is None
    sparsifier = sparsified(model, optimizer, "RigL")
    for t in range(7):
        backward(model, t)
        sparsifier.step()
        assert_holds(sparsifier)


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


def test_masks_on_a_fresh_model_hold_and_say_what_is_missing():
    """A state has masks and no weights: a ticket is given as init, weights are loaded first."""
    ticket = sparsified(network(1), seed=5).state_dict()
    fresh = network(2)
    initial = copy.deepcopy(fresh.state_dict())
    sparsifier = sparsified(fresh, seed=6)
    with pytest.warns(
        UserWarning, match=r"\d+ of 144 active weights are 0: load the model's weights first; .* as init"
    ):
        sparsifier.load_state_dict(ticket)
    assert_holds(sparsifier)
    assert all(torch.equal(mask, ticket["masks"][name]) for name, mask in sparsifier.masks.items())
    fresh.load_state_dict(initial)
    right = sparsified(fresh, init=ticket["masks"])
    assert all(torch.equal(w, initial[name] * ticket["masks"][name]) for name, w in right.weights.items())


def good_state():
    return copy.deepcopy(sparsified(network(), method="SET", seed=4).state_dict())


BAD = {
    "no masks": (lambda s: {k: v for k, v in s.items() if k != "masks"}, "no 'masks'"),
    "no iteration": (lambda s: {k: v for k, v in s.items() if k != "iteration"}, "no 'iteration'"),
    "no generator": (lambda s: {k: v for k, v in s.items() if k != "generator"}, "no 'generator'"),
    "another layer": (lambda s: s | {"masks": s["masks"] | {"9.weight": torch.ones(1) > 0}}, r"9\.weight do not fit"),
    "one layer less": (lambda s: s | {"masks": {"0.weight": s["masks"]["0.weight"]}}, "do not fit layers"),
    "another shape": (
        lambda s: s | {"masks": s["masks"] | {"4.weight": torch.ones(16, 10) > 0}},
        r"'4\.weight' fits no",
    ),
    "floats": (lambda s: s | {"masks": s["masks"] | {"4.weight": torch.ones(10, 16)}}, r"'4\.weight' fits no.*boolean"),
    "half an iteration": (lambda s: s | {"iteration": 2.5}, r"iteration 2\.5"),
    "no number": (lambda s: s | {"iteration": None}, "iteration None"),
    "before the start": (lambda s: s | {"iteration": -1}, "iteration -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_state_that_does_not_fit_changes_nothing(case):
    change, named = BAD[case]
    model = network()
    sparsifier = sparsified(model, method="SET")
    before = copy.deepcopy([sparsifier.state_dict(), model.state_dict(), sparsifier.counts()])
    with pytest.raises(ValueError, match=named):
        sparsifier.load_state_dict(change(good_state()))
    after = [sparsifier.state_dict(), model.state_dict(), sparsifier.counts()]
    leaves = torch.utils._pytree.tree_leaves
    assert all(
        torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(leaves(before), leaves(after), strict=True)
    )


def test_a_state_from_another_kind_of_device_is_taken_over():
    """The random numbers of a GPU cannot go on here (16 bytes, a seed and an offset): others do, and that is said."""
    state, ends = good_state() | {"iteration": 7, "generator": torch.zeros(16, dtype=torch.uint8)}, []
    for _ in range(2):
        sparsifier = sparsified(network(), method="SET", seed=4)
        with pytest.warns(UserWarning, match="other numbers: the state is of another device"):
            sparsifier.load_state_dict(state)
        assert sparsifier.iteration == 7 and sparsifier.counts() == {n: int(m.sum()) for n, m in state["masks"].items()}
        ends.append(torch.rand(5, generator=sparsifier.generator))
    assert torch.equal(*ends)
    assert not torch.equal(ends[0], torch.rand(5, generator=sparsified(network(), method="SET", seed=4).generator))


def test_masks_follow_a_model_that_moves():
    """As a trainer does that takes a model to its device; here the device without storage."""
    model = network()
    sparsifier = sparsified(model, method="RigL")
    sparsifier.weights = {name: nn.Parameter(w.detach().to("meta")) for name, w in sparsifier.weights.items()}
    assert sparsifier.follow() and not sparsifier.follow()
    assert {mask.device.type for mask in sparsifier.masks.values()} == {"meta"}


@pytest.mark.parametrize("method", MASKED)
@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
@pytest.mark.parametrize("attached", [False, True])
def test_copies_go_on_by_themselves(attached, way, method):
    """A copy of model, optimizer and masks trains as the first one would have, and neither knows the other."""
    model = network()
    optimizer = momentum(model)
    sparsifier = sparsified(model, optimizer, method)
    if attached:
        sparsifier.attach()
    take = optimizer.step if attached else sparsifier.step
    for t in range(4):
        backward(model, t)
        take()
    parts = (model, optimizer, sparsifier)
    twin, its_optimizer, its_sparsifier = (
        copy.deepcopy(parts) if way == "deepcopy" else pickle.loads(pickle.dumps(parts))
    )
    frozen = copy.deepcopy(model.state_dict())
    for t in range(4, 12):
        backward(twin, t)
        its_optimizer.step() if attached else its_sparsifier.step()
        assert_holds(its_sparsifier)
    assert all(torch.equal(value, frozen[name]) for name, value in model.state_dict().items())
    for t in range(4, 12):
        backward(model, t)
        take()
    assert sparsifier.iteration == its_sparsifier.iteration == 12
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_run_can_be_rewound():
    model = network()
    sparsifier = sparsified(model, method="SET")
    states, ends = [copy.deepcopy(part.state_dict()) for part in (model, sparsifier.optimizer, sparsifier)], []
    for _ in range(2):
        for part, state in zip((model, sparsifier.optimizer, sparsifier), states, strict=True):
            part.load_state_dict(copy.deepcopy(state))
        for t in range(8):
            backward(model, t)
            sparsifier.step()
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*ends)


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


class Lion(torch.optim.Optimizer):
    """Momentum, and nothing that says how large it is."""

    def __init__(self, parameters, lr=0.01):
        super().__init__(parameters, {"lr": lr, "betas": (0.9, 0.99)})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                average = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.sub_(group["lr"] * average.lerp(p.grad, 0.1).sign())
                average.lerp_(p.grad, 0.01)


@pytest.mark.parametrize(
    "kind", [torch.optim.Adamax, Lion, torch.optim.Adagrad, torch.optim.Adafactor, torch.optim.SGD]
)
@pytest.mark.parametrize("method", ["SNFS", "RigL-SM"])
def test_an_optimizer_without_a_momentum_to_rank_by_is_refused_at_once(method, kind):
    model = network()
    whole = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=f"{method} ranks by momentum: {kind.__name__} has none"):
        sparsified(model, kind(model.parameters(), lr=0.1), method)
    assert all(torch.equal(value, whole[name]) for name, value in model.state_dict().items())
    sparsified(model, kind(model.parameters(), lr=0.1), "RigL")


@pytest.mark.parametrize("method", ["SNFS", "RigL-SM"])
@pytest.mark.parametrize("kind", ["Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Muon"])
def test_optimizers_that_have_one_train(kind, method):
    model = network()
    options = {"momentum": 0.9} if kind == "RMSprop" else {}
    optimizer = getattr(torch.optim, kind)([p for p in model.parameters() if p.ndim > 1], lr=0.01, **options)
    sparsifier = sparsified(model, optimizer, method)
    for t in range(7):
        backward(model, t)
        sparsifier.step()
        assert_holds(sparsifier)


def test_optimizers_that_masks_cannot_go_with_are_refused(tmp_path):
    model = network()
    with pytest.raises(ValueError, match=r"optimizer LBFGS is not allowed: .*Take SGD"):
        sparsified(model, torch.optim.LBFGS(model.parameters()))
    with pytest.raises(ValueError, match=r"list is no optimizer"):
        sparsified(model, list(model.parameters()))
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        from torch.distributed.optim import ZeroRedundancyOptimizer

        spread = ZeroRedundancyOptimizer(model.parameters(), torch.optim.SGD, lr=0.1)
        with pytest.raises(ValueError, match=r"ZeroRedundancyOptimizer is not allowed: it keeps .* another process"):
            sparsified(model, spread)
    finally:
        torch.distributed.destroy_process_group()


def test_updates_that_never_come_are_said():
    with pytest.warns(UserWarning, match="delta_t 100 is beyond t_end 75: masks never change"):
        sparsified(network(), method="RigL", delta_t=100, t_end=75)
    sparsified(network(), method="RigL", delta_t=75, t_end=75)  # at 74


def test_the_newest_sparsifier_has_the_optimizer():
    model = network()
    optimizer = momentum(model)
    first = sparsified(model, optimizer, exclude=["4"])
    second = sparsified(model, optimizer, method="SET", init={"4.weight": torch.rand(10, 16) < 0.5})
    backward(model)
    frozen = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="another Sparsifier was made for this optimizer since"):
        first.step()
    assert all(torch.equal(value, frozen[name]) for name, value in model.state_dict().items())
    second.attach()
    with pytest.raises(ValueError, match=r"attached to this optimizer: detach\(\) it first"):
        sparsified(model, optimizer)
    with pytest.raises(ValueError, match=r"detach\(\) it first"):
        first.attach()
    second.detach()
    first.attach()
    optimizer.step()
    assert first.iteration == 1 and math.isclose(first.density, 0.2)


def test_a_saved_state_holds_plain_tensors():
    sparsifier, file = sparsified(network(), method="SET"), io.BytesIO()
    torch.save(sparsifier.state_dict(), file)
    file.seek(0)
    sparsifier.load_state_dict(torch.load(file, weights_only=True))
