"""Clocks: arms that take turns, their ratio round by round, and the one form in which a number is kept."""

import math
import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from unittest import mock

import torch

from rigl_nb.deploy import speed
from rigl_nb.deploy.speed import Spread, ratios
from rigl_nb.execution import Execution
from rigl_nb.runs.terminal import say

__all__ = ["Machine", "Measurement", "fastest", "interleaved", "ratios", "within_reason"]

FEWEST = 3  # rounds that a deadline never takes away
PATIENCE = 15.0  # seconds without a word
SECONDS, ROUNDS = 30.0, 20  # of one comparison `within_reason`: no round starts after either
BLOCK, MOST = 0.02, 200  # seconds of a block of short steps, and steps of it at most


@dataclass(frozen=True)
class Machine:
    """Where the benchmarks run, how large they are, and until when they may start another round."""

    device: str  # "cpu" or "cuda"
    quick: bool = False  # tiny settings: do they run, not how fast
    pairs: int = 20  # seeds for each arm of the comparison of accuracy
    deadline: float = math.inf  # of time.perf_counter

    @property
    def gpu(self) -> bool:
        """Whether this is a GPU."""
        return self.device == "cuda"

    @property
    def execution(self) -> Execution:
        """How the project trains on this device; for the CPU of a GPU machine, as if it had no GPU."""
        with mock.patch.dict(os.environ, {"RIGL_DEVICE": self.device}):
            return Execution.best()

    def synchronise(self) -> None:
        """Wait until the device has done what it was given; every clock is read after this."""
        if self.gpu:
            torch.cuda.synchronize()


@dataclass(frozen=True)
class Measurement:
    """`quantity` of `subject`, a value for each repetition; units: s, images/s, x, share, points, B, B/s, FLOP, FLOP/s.

    Without values it could not be measured, and the note says why.
    """

    quantity: str
    subject: str
    unit: str
    values: tuple[float, ...] = ()
    note: str = ""

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The middle half of the values lies between these two, ends included."""
        spread = Spread.of(self.values)
        return spread.low, spread.high

    def to_dict(self) -> dict:
        """For JSON: n, median and quartiles are written out for the reader; the values alone count."""
        told = {"n": len(self.values)}
        if self.values:
            told |= {"median": self.median, "quartiles": self.quartiles}
        return asdict(self) | told

    @classmethod
    def from_dict(cls, content: dict) -> "Measurement":
        """The measurement of `to_dict`."""
        kept = {name: content[name] for name in cls.__dataclass_fields__}
        return cls(**kept | {"values": tuple(kept["values"])})


def interleaved(
    arms: dict[object, Callable[[], object]],
    rounds: int,
    synchronise: Callable[[], None] = lambda: None,
    steps: int = 1,
    lead_in: int = 0,
    deadline: float = math.inf,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[object, list[float]]:
    """Seconds a step of every arm, round by round; an arm is one step, called again and again.

    In a round each arm does `lead_in` steps off the clock, then a block of `steps` on it; the order of the arms turns
    by one from round to round, so that no arm always follows the same one. A first round, in the given order, is the
    warm-up and is dropped. After `deadline` no further round starts, but three are always done.
    """
    names, seconds, told = list(arms), {name: [] for name in arms}, time.perf_counter()
    measured = speed.turns(arms, synchronise, steps, lead_in, clock)
    for number in range(-1, rounds):
        if number >= FEWEST and clock() > deadline:
            break
        for name, elapsed in next(measured).items():
            if number >= 0:
                seconds[name].append(elapsed)
        if (now := time.perf_counter()) - told > PATIENCE:
            say(f"  round {number + 1} of {rounds}: {', '.join(map(str, names))}")
            told = now
    return seconds


def within_reason(machine: Machine, arms: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """`interleaved` for one of many comparisons: rounds until its seconds are spent, blocks by the first arm's step."""
    first = next(iter(arms.values()))
    first()  # makes what is made on first use
    once = next(speed.turns({"": first}, machine.synchronise))[""]
    steps = 1 if machine.quick else block(once)
    deadline = min(machine.deadline, time.perf_counter() + SECONDS)
    return interleaved(arms, FEWEST if machine.quick else ROUNDS, machine.synchronise, steps, steps > 1, deadline)


def block(once: float) -> int:
    """How many steps of so many seconds make a block that a clock can read."""
    return min(MOST, max(1, round(BLOCK / once)))


def fastest(seconds: dict[str, list[float]], names: Iterable[str]) -> str:
    """The one of these with the smallest median: nothing is divided by a slower one."""
    return min(names, key=lambda name: statistics.median(seconds[name]))
