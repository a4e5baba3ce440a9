"""What holds for every method, whatever the layers, schedules, optimizers and gradients; and saving and counting."""

import copy
import io
import math

import pytest
import reference
import torch
from holding import bits, take_gradients, values_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sparsifier import OPTIMIZERS, Problem, equal
from torch import nn

from rigl_nb import flops
from rigl_nb.distributions import whole
from rigl_nb.methods import METHODS
from rigl_nb.sparsifier import Sparsifier

REDISTRIBUTING = ("SNFS", "RigL-SG", "RigL-SM")
STANDING = ("Static", "SET", "RigL", "Lottery")  # every layer keeps its count
LAYERS = st.one_of(
    st.tuples(st.integers(1, 6), st.integers(1, 6)).map(lambda s: nn.Linear(*s)),
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2])).map(lambda s: nn.Conv2d(*s)),
)


@st.composite
def trainings(draw):
    """Draw random layers, a Sparsifier on them, its options, and where gradients come from."""
    method = draw(st.sampled_from(list(METHODS)))
    without = ["sgd"] if method in ("SNFS", "RigL-SM") else []  # they rank by momentum
    optimizer = draw(st.sampled_from([name for name in OPTIMIZERS if name not in without]))
    model = nn.ModuleList(draw(st.lists(LAYERS, min_size=2, max_size=5)))
    stream = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    for p in model.parameters():  # few values: most ranks are decided by ties, and some active weights are 0
        p.data = torch.randint(-3, 4, p.shape, generator=stream).float()
    options = {"density": draw(st.integers(1, 20)) / 20, "alpha": draw(st.sampled_from([0.3, 1.0]))}
    options |= {"delta_t": draw(st.integers(1, 3)), "t_end": draw(st.integers(0, 9)), "init": None}
    if method == "Small-Dense":
        options["density"] = 1.0  # its budget is in the model
    if method == "Pruning":
        options["prune_start"] = draw(st.integers(0, options["t_end"]))
    elif method == "Lottery" or draw(st.booleans()):
        weights = {name: p for name, p in model.named_parameters() if p.ndim > 1}
        options["init"] = {name: torch.rand(p.shape, generator=stream) < 0.5 for name, p in weights.items()}
    else:
        options["init"] = draw(st.sampled_from(["Random", "ER", "ERK"]))
    sparse = Sparsifier(model, OPTIMIZERS[optimizer](model.parameters()), method, **options)
    return model, sparse, options, stream


@given(trainings(), st.sampled_from([None, None, math.nan, math.inf]))
@settings(max_examples=150)
def test_every_invariant_after_every_step(training, bad):
    model, sparse, options, stream = training
    check_start(sparse, options)
    for t in range(10):
        take_gradients(model, stream, bad)
        masks = {name: mask.clone() for name, mask in sparse.masks.items()}
        before = {name: values_of(sparse, sparse.weights[name]) for name in masks}
        counts = sparse.counts()
        assert sparse.drop_fraction == (drop_fraction(options, t) if sparse.method.name in reference.GROWTH else 0)
        updated = sparse.step()
        assert sparse.counts() == {name: int(mask.sum()) for name, mask in sparse.masks.items()}
        assert sparse.densities() == {name: count / masks[name].numel() for name, count in sparse.counts().items()}
        check_zeros(sparse)
        check_counts(sparse, options, t, updated, counts, masks)
        if updated:
            check_update(sparse, options, t, masks, before)
        else:
            assert all(torch.equal(mask, sparse.masks[name]) for name, mask in masks.items())


def drop_fraction(options, t):
    share = options["alpha"] / 2 if t < options["t_end"] else 0
    return share and share * (1 + math.cos(math.pi * t / options["t_end"]))


def check_start(sparse, options):
    """The budget is met to the weight; Pruning starts dense, given masks are taken as they are."""
    method, density = sparse.method.name, reference.exact(options["density"])
    sizes = {name: mask.numel() for name, mask in sparse.masks.items()}
    if method in ("Dense", "Small-Dense"):
        assert sizes == {}
    elif isinstance(options["init"], dict):
        assert all(torch.equal(mask, options["init"][name]) for name, mask in sparse.masks.items())
        assert set(sizes) == set(options["init"])
    else:
        dense = method == "Pruning"
        shapes = {name: (size,) for name, size in sizes.items()}
        assert sum(sparse.counts().values()) == reference.total_count(shapes, 1 if dense else density)
    assert not any(weight[~sparse.masks[name]].any() for name, weight in sparse.weights.items())


def check_zeros(sparse):
    """Inactive weights, gradients and buffers; SNFS alone keeps momentum of inactive weights."""
    for name, weight in sparse.weights.items():
        inactive = ~sparse.masks[name]
        state = values_of(sparse, sparse.weights[name]) | {"gradient": weight.grad}
        for key, values in state.items():
            if key in ("weight", "gradient") or sparse.method.name != "SNFS":
                assert not values[inactive].any(), (name, key)


def check_counts(sparse, options, t, updated, counts, masks):
    """Constant layer by layer, constant in sum, or by the schedule of Pruning."""
    method, now = sparse.method.name, sparse.counts()
    if method in STANDING:
        assert now == counts
    elif method in REDISTRIBUTING:
        assert sum(now.values()) == sum(counts.values())
    elif method == "Pruning":
        assert not any((sparse.masks[name] & ~mask).any() for name, mask in masks.items()), "pruned stay pruned"
        if updated:
            final = 1 - reference.exact(options["density"])
            share = 1 - reference.pruning_sparsity(t, options["prune_start"], options["t_end"], final)
            assert sum(now.values()) == reference.total_count({n: m.shape for n, m in masks.items()}, share)
    assert updated is False or method in (*reference.GROWTH, "Pruning")


def check_update(sparse, options, t, masks, before):
    """What survives keeps every bit, what starts anew is 0, and no layer loses more than its share."""
    method, momentum = sparse.method.name, sparse.method.name != "SNFS"
    for name, mask in masks.items():
        after = values_of(sparse, sparse.weights[name])
        assert set(after) == set(before[name])
        survives = mask & sparse.masks[name]
        for key, values in after.items():
            old = before[name][key]
            if key == "weight" or momentum:
                assert bits(values[survives]) == bits(old[survives]), (name, key)
                assert not values[~survives].any(), (name, key)
            else:
                assert bits(values) == bits(old), "dense momentum is left alone"
        if method in ("SET", "RigL") and mask.all():
            assert all(bits(values) == bits(before[name][key]) for key, values in after.items())
        if method in reference.GROWTH:
            assert int((mask & ~survives).sum()) <= math.floor(drop_fraction(options, t) * int(mask.sum()))


@given(st.lists(st.one_of(st.integers(0, 90).map(lambda n: n / 10), st.floats(0, 1e4)), min_size=1))
def test_whole_numbers_of_quotas(quotas):
    """Integers, within 1 of their quotas, with the rounded sum; a whole quota stays, and order is respected."""
    got = whole(dict(enumerate(quotas)))
    assert sum(got.values()) == math.floor(round(math.fsum(quotas), 6) + 0.5)
    assert all(type(count) is int and abs(count - quotas[i]) < 1 + 1e-6 for i, count in got.items())
    assert all(got[i] == quota for i, quota in enumerate(quotas) if quota == int(quota))
    assert all(got[i] >= got[j] for i, a in enumerate(quotas) for j, b in enumerate(quotas) if a > b + 1e-5)


# ---- a stop in between, and counting in between, change nothing


def started(method, optimizer, **options):
    """The tiny network with updates at 3 and 7, under Pruning with updates at 3, 7 and 11."""
    if method == "Lottery":
        seed = options.get("seed", 0)
        shapes = {"0.weight": (6, 2, 3, 3), "3.weight": (8, 6, 3, 3), "5.weight": (5, 32)}
        stream = torch.Generator().manual_seed(seed)
        options["init"] = {name: torch.rand(shape, generator=stream) < 0.3 for name, shape in shapes.items()}
    if method == "Pruning":
        options["prune_start"] = 2
    if method == "Small-Dense":
        options["density"] = 1.0
    return Problem(optimizer, method=method, t_end=10, alpha=0.6, **options)


@pytest.mark.parametrize("method", [*REDISTRIBUTING, "Pruning", "Lottery"])
@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
@pytest.mark.parametrize("stop", [1, 3, 4, 6, 8])
def test_save_and_load_goes_on_bit_for_bit(method, optimizer, stop):
    """Before, between and after updates, into objects made from other weights, with other masks and another seed."""
    straight = started(method, optimizer)
    for _ in range(stop):
        straight.step()
    file = io.BytesIO()
    torch.save([part.state_dict() for part in (straight.model, straight.optimizer, straight.sparse)], file)
    file.seek(0)
    resumed = started(method, optimizer, weights=5, seed=9)
    for part, state in zip((resumed.model, resumed.optimizer, resumed.sparse), torch.load(file), strict=True):
        part.load_state_dict(state)
    resumed.t = straight.t
    assert resumed.sparse.counts() == straight.sparse.counts()
    before = copy.deepcopy(straight.sparse.masks)
    for _ in range(12 - stop):
        assert straight.step() == resumed.step()
        assert straight.sparse.counts() == resumed.sparse.counts()
        assert equal(straight.everything(), resumed.everything())
    moved = not equal(list(before.values()), list(straight.sparse.masks.values()))
    assert moved is (method == "Pruning" or (method != "Lottery" and stop < 8))


@pytest.mark.parametrize("method", METHODS)
def test_counting_operations_changes_nothing(method):
    """With a count of the masks' cost after every iteration, and without."""
    counted, plain = started(method, "nesterov"), started(method, "nesterov")
    for _ in range(8):
        counted.step(), plain.step()
        random = torch.get_rng_state()
        cost = flops.inference_flops(counted.model, (2, 6, 6), counted.sparse.densities())
        assert 0 < cost <= flops.inference_flops(counted.model, (2, 6, 6))
        assert torch.equal(random, torch.get_rng_state())
        assert equal(counted.everything(), plain.everything())
