"""What a run takes on this machine, measured where no record tells: its first seconds, then the rest by count."""

import math
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from rigl_nb.execution import Execution
from rigl_nb.runs import cost, engine
from rigl_nb.runs.record import Machine, Record
from rigl_nb.spec import RunSpec
from rigl_nb.train import train

LONGEST = 1.0  # seconds of iterations that are timed of each kind of network; one iteration, where that takes longer
LARGE = 1.0  # seconds of an iteration, from which on operations tell as well


@dataclass(frozen=True)
class Timed:
    """A run whose time is known, as `cost.estimate` takes it."""

    spec: RunSpec
    seconds: float
    machine: Machine


def of(
    specs: Iterable[RunSpec], records: Iterable[Record], execution: Execution, until: float = math.inf
) -> list[Timed]:
    """A probe of every kind of network of the runs that has no record on this machine; none where it fails.

    No probe begins after `until` (of `time.monotonic`).
    ValueError for a batch that the engine refuses as a whole: no training would say so, for none begins.
    """
    specs = list(specs)
    engine.check_compact(specs, execution.compact)
    here, records = Machine.of(execution), list(records)
    known = {cost.kind(r.spec) for r in records if r.machine == here}
    kinds = {cost.kind(spec): spec for spec in specs if not spec.parent}
    found = []
    for kind, spec in kinds.items():
        if kind not in known and _step(spec, records) < LARGE and time.monotonic() < until:
            try:
                found.append(Timed(spec, seconds(spec, execution), here))
            except Exception:  # its data lacks, or whatever fails there: the training itself will say so
                continue
    return found


def _step(spec: RunSpec, records: Iterable[Record]) -> float:
    """Seconds of an iteration by operations alone, 0 where nothing tells: right for a large network, only."""
    price = cost.estimate([spec], records)
    return price.seconds / spec.total_steps if price else 0.0


def seconds(spec: RunSpec, execution: Execution) -> float:
    """Seconds of the whole run, its start included: from the first, and as many iterations as fit into a second.

    An evaluation is a forward pass: a third of an iteration for each image that is held out. What a process pays once,
    for imports and for reading the data, is no run's: a first iteration pays it, before the time is taken.
    """
    with closing(train(spec, execution)) as steps:
        next(steps)
    begin = time.perf_counter()
    steps, times = train(spec, execution), []
    for progress in steps:
        times.append(time.perf_counter())
        if progress.step >= spec.total_steps or times[-1] - times[0] > LONGEST:
            break
    steps.close()
    one = median(later - earlier for earlier, later in pairwise(times))
    evaluated = spec.validation * spec.total_epochs / (3 * spec.batch_size)
    return times[0] - begin + (spec.total_steps + evaluated) * one
