"""Does the way in which a run is carried out change what it learns? Pairs of one specification and one seed."""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scipy import stats

from benchmarks.timing import FEWEST, Machine, Measurement
from rigl_nb.execution import Execution
from rigl_nb.experiments.grids import PROFILES, Row
from rigl_nb.spec import RunSpec
from rigl_nb.train import train

CONFIDENCE = 0.95
PACKED = 4
REFERENCE = "fp32, contiguous"


@dataclass(frozen=True)
class Arm:
    """A way to carry out runs, `execution.sharing` of them taking turns, and the arm that it is compared with."""

    execution: Execution
    against: str = REFERENCE


def measure(machine: Machine) -> list[Measurement]:
    """Test accuracies of every arm and their differences by seed; a deadline takes seeds away, the last ones first."""
    arms = _arms(machine)
    group = max(arm.execution.sharing for arm in arms.values())
    accuracies = {name: [] for name in arms}
    for first in range(0, machine.pairs, group):
        if first >= FEWEST and time.perf_counter() > machine.deadline:
            break
        seeds = range(first, min(first + group, machine.pairs))
        for name, arm in arms.items():
            accuracies[name] += _trained([_spec(machine, seed) for seed in seeds], arm.execution)
    found = [_accuracy(name, values) for name, values in accuracies.items()]
    for name, arm in arms.items():
        if arm.against in arms and arm.against != name:
            pairs = zip(accuracies[name], accuracies[arm.against], strict=True)
            found.append(difference(name, arm.against, [mine - other for mine, other in pairs]))
    return found


def _accuracy(name: str, values: Sequence[float]) -> Measurement:
    spread = f", standard deviation over seeds {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return Measurement("test accuracy", name, "%", tuple(values), f"mean {statistics.mean(values):.2f}{spread}")


def difference(name: str, against: str, differences: Sequence[float]) -> Measurement:
    """Differences in points, with what they say: mean, 95 % t interval, and the largest difference it still allows."""
    low, high = interval(differences)
    note = f"mean {statistics.mean(differences):+.2f}"
    if math.isfinite(low):
        note += f", 95 % interval {low:+.2f} to {high:+.2f}: a difference above {max(-low, high):.2f} is excluded"
    return Measurement(f"minus {against}", name, "points", tuple(differences), note)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % interval of the mean; without bounds for fewer than two values."""
    n = len(values)
    if n < 2:
        return -math.inf, math.inf
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * statistics.stdev(values) / math.sqrt(n)
    return statistics.mean(values) - half, statistics.mean(values) + half


def _arms(machine: Machine) -> dict[str, Arm]:
    """On the CPU what `Execution.best` changes; on a GPU also graphs and packing, one by one."""
    device, threads = machine.device, None if machine.gpu else 1  # tiny networks: a second thread slows them
    arms = {
        REFERENCE: Arm(Execution(device, "fp32", channels_last=False, threads=threads)),
        "bf16, channels-last": Arm(Execution(device, "bf16", threads=threads)),
    }
    if machine.gpu:
        graph = Execution(device, "bf16", graph=True)
        arms["bf16, channels-last, graphs"] = Arm(graph, against="bf16, channels-last")
        packed = f"bf16, channels-last, graphs, packed {PACKED}"
        arms[packed] = Arm(replace(graph, sharing=PACKED))
    return arms


def _spec(machine: Machine, seed: int) -> RunSpec:
    digits = {"cifar10": {"data": "digits", "model": "wrn-10-1"}}
    size = replace(PROFILES["smoke"], epochs=40, stand_in=digits)  # the size of all results: they stay comparable
    spec = size.spec(Row("RigL", "ERK", 0.1), seed)
    return replace(spec, epochs=1) if machine.quick else spec


def _trained(specs: list[RunSpec], execution: Execution) -> list[float]:
    """Test accuracies in percent of these runs, trained `execution.sharing` at a time, an iteration of each in turn."""
    reached = {}
    for first in range(0, len(specs), execution.sharing):
        running = {spec.seed: train(spec, execution) for spec in specs[first : first + execution.sharing]}
        while running:
            for seed in list(running):
                try:
                    next(running[seed])
                except StopIteration as done:
                    reached[seed] = done.value.test_accuracy
                    del running[seed]
    return [reached[spec.seed] for spec in specs]
