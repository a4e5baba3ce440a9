"""When each run of a campaign would begin and end on so many devices: the engine's order, without training."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """A run on a device, from when to when (seconds)."""

    run: str
    device: int
    begin: float
    end: float


@dataclass(frozen=True)
class Schedule:
    """The turns in the order of their beginning, on `devices` devices."""

    turns: tuple[Turn, ...]
    devices: int

    @property
    def makespan(self) -> float:
        """Seconds until the last run is done."""
        return max((turn.end for turn in self.turns), default=0.0)

    @property
    def idle(self) -> float:
        """The share of all devices' time in which they have no run."""
        busy = sum(turn.end - turn.begin for turn in self.turns)
        return 1 - busy / (self.devices * self.makespan) if self.makespan else 0.0


def schedule(seconds: Mapping[str, float], devices: int, parents: Mapping[str, str] | None = None) -> Schedule:
    """Give each free device the first run, in the mapping's order, whose parent is done.

    `seconds`: how long each run takes; `parents`: whom a run waits for. A parent that is no key of `seconds` is done.
    Raises ValueError for no device, a negative time, or runs that wait for each other.
    """
    if devices < 1:
        raise ValueError(f"devices {devices} is not allowed: it must be at least 1")
    if slow := [run for run, time in seconds.items() if not time >= 0]:
        raise ValueError(f"{seconds[slow[0]]} seconds of run {slow[0]!r} are not allowed: they must be at least 0")
    children: dict[str, list[str]] = {}
    for run in seconds:
        if (parent := (parents or {}).get(run)) in seconds:
            children.setdefault(parent, []).append(run)
    order = {run: number for number, run in enumerate(seconds)}
    waiting = {child for found in children.values() for child in found}
    ready = [order[run] for run in seconds if run not in waiting]  # already a heap: it is sorted
    turns = _turns(list(seconds), [*seconds.values()], devices, ready, children, order)
    if len(turns) < len(seconds):
        lost = next(run for run in seconds if run not in {turn.run for turn in turns})
        raise ValueError(f"run {lost!r} can never begin: it waits, by its parents, for itself")
    return Schedule(tuple(turns), devices)


def _turns(
    runs: Sequence[str],
    seconds: Sequence[float],
    devices: int,
    ready: list[int],
    children: Mapping[str, list[str]],
    order: Mapping[str, int],
) -> list[Turn]:
    now, free, busy, turns = 0.0, list(range(devices)), [], []
    while ready or busy:
        while ready and free:
            number, device = heapq.heappop(ready), heapq.heappop(free)
            heapq.heappush(busy, (now + seconds[number], device, number))
            turns.append(Turn(runs[number], device, now, now + seconds[number]))
        now = busy[0][0]
        while busy and busy[0][0] == now:
            _, device, number = heapq.heappop(busy)
            heapq.heappush(free, device)
            for child in children.get(runs[number], ()):
                heapq.heappush(ready, order[child])
    return turns
