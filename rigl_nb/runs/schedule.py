"""When each run of a campaign would begin and end on so many devices: the engine's order, without training."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter


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
    waiting = TopologicalSorter({run: {(parents or {}).get(run)} & seconds.keys() for run in seconds})
    waiting.prepare()
    order = {run: number for number, run in enumerate(seconds)}
    now, ready, free, busy, turns = 0.0, [], list(range(devices)), [], []
    while waiting.is_active():
        for run in waiting.get_ready():
            heapq.heappush(ready, (order[run], run))
        while ready and free:
            (_, run), device = heapq.heappop(ready), heapq.heappop(free)
            heapq.heappush(busy, (now + seconds[run], device, run))
            turns.append(Turn(run, device, now, now + seconds[run]))
        now = busy[0][0]
        while busy and busy[0][0] == now:
            _, device, run = heapq.heappop(busy)
            heapq.heappush(free, device)
            waiting.done(run)
    return Schedule(tuple(turns), devices)
