"""Imitated defects: each does on a hand-drawn case what the published code does, and the default does not."""

import copy
import itertools
import math
from functools import partial

import pytest
import torch
from driving import PLAIN, drive, equal, numbers, tiny
from torch import nn

from rigl_nb import iteration
from rigl_nb.experiments import grids
from rigl_nb.published_code import BEHAVIOURS, PublishedCode, capped_shares
from rigl_nb.sparsifier import Sparsifier


def layer(weights, method="RigL", behaviours=(), alpha=0.5, mask=None, **options):
    """One linear layer with given weights under the first update's drop fraction α, its gradient the entries' rank."""
    model = nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([weights]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.weight.grad = torch.arange(1.0, len(weights) + 1)[None]
    optimizer.state[model.weight]["momentum_buffer"] = 10 * torch.arange(1.0, len(weights) + 1)[None]
    masks = {"weight": torch.tensor([mask if mask else [True] * len(weights)])}
    kind = PublishedCode if behaviours else Sparsifier
    options |= {"behaviours": behaviours} if behaviours else {}
    sparse = kind(model, optimizer, method, masks, alpha=alpha, delta_t=1, t_end=1000, **options)
    return model.weight, optimizer, sparse


def test_a_dense_layer_loses_its_smallest_weights():
    """Half of four weights are dropped and grown again: wiped in the published code, untouched by the rule."""
    for behaviours, left in (((), [4.0, -3.0, 2.0, -1.0]), (("zero-regrown",), [4.0, -3.0, 0.0, 0.0])):
        weight, optimizer, sparse = layer([4.0, -3.0, 2.0, -1.0], behaviours=behaviours)
        assert sparse.step()
        assert weight.tolist() == [left]
        assert sparse.masks["weight"].all()
        assert optimizer.state[weight]["momentum_buffer"].tolist() == [[10, 20, 30, 40]], "momentum stays in both"


def test_only_what_was_grown_again_is_wiped():
    """Active 4, 3, 2, 1; two are dropped. The largest gradients of the rest are at 2 (grown again), 5 and 6."""
    mask = [True] * 4 + [False] * 2
    weight, _, sparse = layer([4.0, 3.0, 2.0, 1.0, 9.0, 9.0], behaviours=("zero-regrown",), mask=mask)
    weight.grad = torch.tensor([[0.0, 0.0, 8.0, 1.0, 2.0, 7.0]])
    sparse.step()
    assert sparse.masks["weight"].tolist() == [[True, True, True, False, False, True]]
    assert weight.tolist() == [[4.0, 3.0, 0.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize(("behaviours", "count"), [((), 1), (("ceil",), 2)])
def test_rounding_up(behaviours, count):
    """0.3 of 5 weights are 1.5."""
    _, _, sparse = layer([5.0, 4.0, 3.0, 2.0, 1.0], behaviours=behaviours, alpha=0.3)
    assert sparse.dropped() == {"weight": count}


def test_large_dense_layers_are_spared():
    """Dense layers of 40 and 4 weights, one of 40 at sparsity 0.1 and one at 0.5; on average 25 are active.

    The first drops nothing and the third 0.1 of its weights: both are larger than the average.
    """
    model = nn.Sequential(nn.Linear(10, 4, bias=False), nn.Linear(4, 1, bias=False))
    model.append(nn.Linear(1, 40, bias=False)).append(nn.Linear(40, 1, bias=False))
    masks = {f"{i}.weight": torch.ones_like(m.weight, dtype=torch.bool) for i, m in enumerate(model)}
    masks["2.weight"][:4] = False
    masks["3.weight"][:, :20] = False
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    counts = {}
    for behaviours in ((), ("spared-layers",)):
        kind = PublishedCode if behaviours else Sparsifier
        options = {"behaviours": behaviours} if behaviours else {}
        sparse = kind(model, optimizer, "RigL", masks, alpha=0.3, delta_t=1, t_end=1000, **options)
        counts[behaviours] = sparse.dropped()
    assert counts[()] == {"0.weight": 12, "1.weight": 1, "2.weight": 10, "3.weight": 6}
    assert counts["spared-layers",] == {"0.weight": 0, "1.weight": 1, "2.weight": 3, "3.weight": 6}


def test_the_drop_fraction_comes_an_iteration_late():
    """The first update of the quick profile on CIFAR-10, at t = 38: half of a cosine over 792 iterations."""
    spec = grids.PROFILES["quick"].spec(grids.Row("RigL", "ERK", 0.1), seed=0)
    options = {"alpha": spec.alpha, "delta_t": spec.delta_t, "t_end": spec.t_end}
    assert options == {"alpha": 0.3, "delta_t": 39, "t_end": 792}
    fractions = {}
    for behaviours in ((), ("late-rate",)):
        model = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        sparse = PublishedCode(model, optimizer, "RigL", behaviours=behaviours, **options)
        sparse.iteration = 38
        assert sparse.update_due
        fractions[behaviours] = round(sparse.drop_fraction, 6)
        sparse.iteration = 0
        assert sparse.drop_fraction == 0.3
    assert fractions == {(): 0.298299, ("late-rate",): 0.298387}


def test_where_every_iteration_is_an_update_the_late_rate_never_moves():
    _, _, sparse = layer([4.0, 3.0, 2.0, 1.0], behaviours=("late-rate",))
    sparse.iteration = 500
    assert sparse.drop_fraction == 0.5


@pytest.mark.parametrize(("behaviours", "left"), [((), [1, 2, 4, 5]), (("zero-ties",), [3, 4, 5])])
def test_active_zeros_tie_with_inactive_places(behaviours, left):
    """Active at 1 to 5 of seven, three of them 0; one is to go. Of the five zeros the first three go.

    Those are the inactive place 0 and the active ones 1 and 2: one more than asked for.
    """
    mask = [False, True, True, True, True, True, False]
    weight, _, sparse = layer([0.0, 0.0, 0.0, 0.0, 3.0, 2.0, 0.0], "SET", behaviours, alpha=0.2, mask=mask)
    assert sparse.dropped() == {"weight": 1}
    grown = []
    sparse.grown = lambda layers, dropped: grown.append(dropped) or dict.fromkeys(dropped, 0)
    weight.grad = torch.zeros_like(weight)
    sparse.step()
    assert sparse.masks["weight"][0].nonzero().flatten().tolist() == left
    assert grown == [{"weight": 5 - len(left)}], "as many are to grow as went"


def test_active_places_tie_with_candidates_without_gradient():
    """Of the gradients outside the kept places one is above 0, and two are to grow: the second is an active place.

    It stays active and loses its weight, and one connection fewer is there.
    """
    mask = [True, True, True, True, False, False]
    weight, _, sparse = layer([4.0, 3.0, 2.0, 1.0, 0.0, 0.0], behaviours=("zero-ties", "zero-regrown"), mask=mask)
    weight.grad = torch.tensor([[9.0, 9.0, 0.0, 0.0, 0.0, 7.0]])
    sparse.step()
    assert sparse.masks["weight"].tolist() == [[True, True, False, False, False, True]]
    assert weight.tolist() == [[0.0, 3.0, 0.0, 0.0, 0.0, 0.0]]
    assert sparse.counts() == {"weight": 3}


def test_what_momentum_grows_keeps_its_weight():
    """The published code sets to 0 what gradients or chance grow, not what momentum grows."""
    weight, _, sparse = layer([4.0, -3.0, 2.0, -1.0], "SNFS", ("zero-regrown",))
    sparse.step()
    assert weight.tolist() == [[4.0, -3.0, 2.0, -1.0]]


def wide(seed, behaviours, method="SET"):
    model = nn.Sequential(nn.Linear(100, 100, bias=False), nn.Linear(100, 50, bias=False))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kind = PublishedCode if behaviours else Sparsifier
    options = {"behaviours": behaviours} if behaviours else {}
    return model, kind(model, optimizer, method, "ER", 0.2, delta_t=1, t_end=10_000, seed=seed, **options)


def test_drawn_weight_by_weight_the_first_counts_vary_around_the_budget():
    """15,000 weights at 0.2; the standard deviation of a count is √Σ p(1 − p), near 49."""
    totals = [sum(wide(seed, ("bernoulli",))[1].counts().values()) for seed in range(40)]
    exact = [sum(wide(seed, ())[1].counts().values()) for seed in range(3)]
    assert exact == [3000] * 3
    spread = torch.tensor(totals, dtype=torch.float64)
    assert abs(spread.mean() - 3000) < 4 * 49 / math.sqrt(40) and 30 < spread.std() < 75


def totals(layers, behaviours, updates=12):
    """Active weights at the start, and after every update of SET, in a network of equal layers."""
    model = nn.Sequential(*(nn.Linear(40, 40, bias=False) for _ in range(layers)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kind = partial(PublishedCode, behaviours=behaviours) if behaviours else Sparsifier
    sparse = kind(model, optimizer, "SET", "ER", 0.3, delta_t=1, t_end=10_000)
    found = [sum(sparse.counts().values())]
    for _ in range(updates):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        sparse.step()
        found.append(sum(sparse.counts().values()))
        assert sparse.counts() == {name: int(mask.sum()) for name, mask in sparse.masks.items()}
    return found


def test_grown_by_coins_the_total_drifts():
    assert set(totals(10, ())) == {4800}
    found = totals(10, ("bernoulli",))
    steps = [abs(b - a) for a, b in itertools.pairwise(found)]
    assert 5 < max(steps) < 150, "a random walk: a step's standard deviation is near 33"


def test_an_error_that_every_layer_makes_up_for_grows():
    """Ten layers answer an error of e with −9 e: it changes sign at each update and grows, until layers are full."""
    found = totals(10, ("bernoulli", "shared-error"))
    errors = [total - found[0] for total in found]
    assert max(map(abs, errors)) > 2000
    assert sum(a * b < 0 for a, b in itertools.pairwise(errors[2:])) >= 8


def test_rigl_grows_exact_counts_also_there():
    model, sparse = wide(1, ("bernoulli",), "RigL")
    before = sparse.counts()
    for _ in range(5):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        sparse.step()
    assert sparse.counts() == before


def test_capped_shares_by_hand():
    """Halves of 100 are 50 and 50, but 0.99 of a room of 10 are 9.9. The rest ends up in the other: 9 + 90 = 99."""
    assert capped_shares(100, [1, 1], [10, 1000]) == [9, 90]
    assert capped_shares(100, [1, 3], [1000, 1000]) == [25, 75]
    assert capped_shares(3, [1, 1], [100, 100]) == [2, 2], "1.5 is rounded to 2 twice: one weight too many"
    assert sum(capped_shares(50, [1, 1, 1], [20, 20, 20])) == 51, "50 / 3 is rounded up three times"
    assert capped_shares(10, [1, 1], [5, 5]) == [4, 4], "two full layers lose a weight each, dense ones at every update"


@pytest.mark.parametrize("method", ["SET", "RigL", "SNFS"])
def test_without_behaviours_it_is_the_sparsifier(method, monkeypatch):
    """Bit for bit, over a whole training: the class itself changes nothing."""
    plain, end = drive(tiny(method))
    monkeypatch.setattr(iteration, "Sparsifier", partial(PublishedCode, behaviours=()))
    again, other = drive(tiny(method))
    assert numbers(plain) == numbers(again)
    del other["sparsifier"]["first"], other["sparsifier"]["errors"]
    assert equal(end, other)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_every_behaviour_trains_and_resumes_bit_for_bit(behaviour):
    method = {"capped-shares": "RigL-SM", "bernoulli": "SET", "shared-error": "SET"}.get(behaviour, "RigL")
    needed = ("bernoulli", behaviour) if behaviour == "shared-error" else (behaviour,)
    shown = {"spared-layers": {"init": "Random", "density": 0.9}, "zero-ties": {"delta_t": 1}}
    shown = (shown | {"signed-kernels": {"structure": "kernel"}}).get(behaviour, {})
    spec = tiny(method, published_code=needed, **shown)
    snapshots = []

    def look(progress):
        if progress.step == 9:
            snapshots.append(copy.deepcopy(progress.snapshot()))

    result, end = drive(spec, look=look)
    again, resumed = drive(spec, PLAIN, None, snapshots[0])
    assert numbers(result) == numbers(again) and equal(end, resumed)
    usual, _ = drive(tiny(method, **shown))
    assert numbers(usual) != numbers(result), "the behaviour changes something"


def test_unknown_behaviours_are_named():
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"behaviour 'floor' is unknown: allowed are zero-regrown, ceil"):
        PublishedCode(model, optimizer, "RigL", behaviours=("floor",), t_end=9)
