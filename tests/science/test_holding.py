"""Masks hold whatever a training did before, loads or copies; what does not fit changes nothing."""

import copy
import io
import pickle

import pytest
import torch
from holding import MASKED, assert_holds, backward, dense_steps, momentum, network, sparsified
from torch import nn


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


def test_a_saved_state_holds_plain_tensors():
    sparsifier, file = sparsified(network(), method="SET"), io.BytesIO()
    torch.save(sparsifier.state_dict(), file)
    file.seek(0)
    sparsifier.load_state_dict(torch.load(file, weights_only=True))
