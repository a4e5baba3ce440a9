"""How many times faster: against the faster memory format, paired by round, in turns. No test reads a real clock."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rigl_nb.deploy import speed
from rigl_nb.deploy.speed import TRIALS, Spread, compared, speed_up, turns

TRIED = (TRIALS + 1) * 8  # calls that choose the formats, those of the warm-up too: two modules in two, twice


class Costly(nn.Module):
    """Takes its time on a clock that nothing else moves on; disturbed a hundredfold every third round."""

    now, calls = 0.0, []

    def __init__(self, name, contiguous, last):
        super().__init__()
        self.layer, self.name, self.costs = nn.Conv2d(3, 4, 3), name, (contiguous, last)

    def forward(self, x):
        last = x.is_contiguous(memory_format=torch.channels_last)
        assert self.layer.weight.is_contiguous(memory_format=torch.channels_last) or not last
        Costly.calls.append((self.name, last, self.training, torch.is_grad_enabled()))
        counted = len(Costly.calls) - TRIED
        disturbed = counted > 0 and (counted - 1) // 4 % 3 == 0  # two modules, each off the clock and on it
        Costly.now += self.costs[last] * (100 if disturbed else 1)
        return self.layer(x).mean((2, 3))

    @classmethod
    def clock(cls):
        return cls.now


@pytest.fixture(autouse=True)
def restart():
    torch.manual_seed(0)
    Costly.now, Costly.calls[:] = 0.0, []


IMAGES = torch.zeros(2, 3, 4, 4)


def test_each_module_is_measured_in_its_faster_format_and_the_ratio_is_of_these():
    """The first would be 30 times slower in the other format: no gain is made of that."""
    found = speed_up(Costly("dense", 60.0, 2.0), Costly("small", 1.0, 7.0), IMAGES, rounds=5, clock=Costly.clock)
    assert found.formats == ("channels-last", "contiguous") and found.n == 5
    assert found.ratio == Spread(2.0, 2.0, 2.0)
    assert found.second.median in (1.0, 100.0) and found.first.median == 2 * found.second.median
    counted = Costly.calls[-20:]
    assert {call[:2] for call in counted} == {("dense", True), ("small", False)}


def test_they_take_turns_in_evaluation_without_gradients():
    speed_up(Costly("dense", 2.0, 2.0), Costly("small", 1.0, 1.0), IMAGES, rounds=2, clock=Costly.clock)
    order = [name for name, *_ in Costly.calls[-12::2]]
    assert order == ["dense", "small", "dense", "small", "small", "dense"], "a warm-up, then two rounds"
    assert {call[2:] for call in Costly.calls} == {(False, False)}


def test_a_training_step_learns_on_copies():
    model, losses = Costly("dense", 2.0, 2.0), []
    before, mode = model.layer.weight.clone(), model.training

    def loss(output):
        losses.append(cross_entropy(output, torch.tensor([0, 1])))
        return losses[-1]

    found = speed_up(model.eval(), Costly("small", 1.0, 1.0), IMAGES, loss, rounds=2, clock=Costly.clock)
    assert {call[2:] for call in Costly.calls} == {(True, True)} and found.ratio.median == 2.0
    assert losses[-1] < losses[0] or losses[-2] < losses[1], "it trains"
    assert torch.equal(model.layer.weight, before) and mode and not model.training and model.layer.weight.grad is None


def test_what_is_no_image_has_one_format_and_threads_are_set_and_given_back(monkeypatch):
    monkeypatch.setattr(speed, "usable", lambda: 2)
    before = torch.get_num_threads()
    layers = nn.Linear(4, 4), nn.Linear(4, 4)
    ticks = iter(range(1000))
    found = speed_up(*layers, torch.zeros(3, 4), rounds=1, threads=2, clock=lambda: next(ticks))
    assert found.formats == ("contiguous", "contiguous") and found.threads == 2 and found.n == 1
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="rounds"):
        speed_up(*layers, torch.zeros(3, 4), rounds=0)
    with pytest.raises(ValueError, match="batch tuple is not allowed: it must be a Tensor"):
        speed_up(*layers, (3, 4))
    with pytest.raises(ValueError, match="other Tensor is not allowed: it must be a Module"):
        speed_up(layers[0], torch.zeros(3, 4), layers[1])


def test_ratios_are_paired_and_the_middle_half_is_by_hand():
    found = compared([4.0, 40.0, 6.0, 9.0], [2.0, 20.0, 2.0, 1.0], 1, ("contiguous", "channels-last"))
    assert found.ratio == Spread(2.5, 2.0, 4.5), "of 2, 2, 3, 9; not the quotient of 7.5 and 2"
    assert found.first == Spread(7.5, 5.5, 16.75) and found.second.median == 2.0
    assert str(found) == "2.50 × (2.00 – 4.50, n = 4, 1 thread, contiguous against channels-last)"
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)
    with pytest.raises(ValueError, match="zip"):
        compared([1.0], [1.0, 2.0], 1, ("", ""))


def test_the_order_of_turns_rotates():
    calls = []
    rounds = turns({name: lambda name=name: calls.append(name) for name in "abc"}, clock=lambda: 0.0)
    for _ in range(5):
        assert set(next(rounds)) == set("abc")
    assert ["".join(calls[i : i + 3]) for i in range(0, 15, 3)] == ["abc", "abc", "bca", "cab", "abc"]


WRONG = {
    "no threads": ({"threads": 0}, "threads 0 is not allowed: it must be a whole number of at least 1"),
    "fewer threads": ({"threads": -1}, "threads -1 is not allowed"),
    "threads as a word": ({"threads": "a"}, "threads 'a' is not allowed"),
    "half a thread": ({"threads": 1.5}, r"threads 1\.5 is not allowed"),
    "more threads than cores": (
        {"threads": 4},
        "threads 4 is not allowed: this process may use 3 cores, take at most 3",
    ),
    "a loss of no function": ({"loss": 5}, "loss int is not allowed: it must be a Callable"),
    "no clock": ({"clock": None}, "clock NoneType is not allowed: it must be a Callable"),
    "a loss of many": ({"loss": torch.square}, r"loss that gives a \(3, 4\) tensor is not allowed: .* one number"),
    "a loss of Python": ({"loss": lambda output: output.sum().item()}, "loss that gives a float is not allowed"),
    "a loss of nothing": ({"loss": lambda output: None}, "loss that gives a NoneType is not allowed"),
    "a loss cut off": ({"loss": lambda output: output.sum().detach()}, r"loss that gives a \(\) tensor .* gradient"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_measured_is_named(case, monkeypatch):
    monkeypatch.setattr(speed, "usable", lambda: 3)
    before, (options, message) = torch.get_num_threads(), WRONG[case]
    with pytest.raises(ValueError, match=message):
        speed_up(nn.Linear(4, 4), nn.Linear(4, 4), torch.zeros(3, 4), **options)
    assert torch.get_num_threads() == before


def test_threads_are_counted_by_the_cores_that_the_process_may_use():
    with pytest.raises(ValueError, match="threads 1000000 is not allowed: this process may use"):
        speed_up(nn.Linear(4, 4), nn.Linear(4, 4), torch.zeros(3, 4), threads=10**6)
    many = np.int64(1), np.int32(1)
    assert [speed_up(nn.Linear(4, 4), nn.Linear(4, 4), torch.zeros(3, 4), rounds=1, threads=n).threads for n in many]
