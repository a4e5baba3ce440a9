"""Training, step by step: the plain loop, ours, ours without masks, and the roofline, in turns within one process."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from unittest import mock

import numpy as np
import torch

from benchmarks import plain, roofline
from benchmarks.timing import Machine, Measurement, interleaved, ratios
from rigl_nb import data, train
from rigl_nb.data.sources import SOURCES
from rigl_nb.execution import Execution
from rigl_nb.iteration import prepare
from rigl_nb.spec import RunSpec

OURS, DENSE, EAGER, PLAIN = "ours", "ours without masks", "ours without graphs", "plain loop"
VALIDATED = {"cpu": 1000, "cuda": 5000}  # images of a timed validation pass; its seconds are scaled to the whole set


@dataclass(frozen=True)
class Size:
    """How long a network is timed: `rounds` blocks of `steps` for each arm."""

    steps: int
    rounds: int


SIZES = {  # (network, device)
    ("wrn-22-2", "cpu"): Size(4, 12),
    ("wrn-22-2", "cuda"): Size(50, 15),
    ("resnet50", "cpu"): Size(1, 4),
    ("resnet50", "cuda"): Size(20, 12),
}
DATA = {"wrn-22-2": "cifar10", "resnet50": "cifar100"}


def specification(network: str, machine: Machine) -> RunSpec:
    """The report's RigL training of a network at density 0.1 (ERK); a quick one is of the digits."""
    return RunSpec(data="digits" if machine.quick else DATA[network], init="ERK", density=0.1)


def measure(network: str, machine: Machine) -> list[Measurement]:
    """Seconds of a step and images/s of every arm, paired speed-ups, validation, and whole runs extrapolated."""
    size = Size(2, 3) if machine.quick else SIZES[network, machine.device]
    sparse = specification(network, machine)
    execution = machine.execution
    found = _roofline(sparse, execution, machine)
    bound = found[-1].values[0]
    with _arms(sparse, execution, machine) as arms:
        # The step off the clock: what the arm before has left to the loader's workers is done in it.
        seconds = interleaved(arms, size.rounds, machine.synchronise, size.steps, lead_in=1, deadline=machine.deadline)
    checked = validation(sparse, execution, machine)
    for arm, steps in seconds.items():
        passes = checked[PLAIN if arm == PLAIN else OURS]
        found += [
            Measurement("step", arm, "s", tuple(steps)),
            Measurement("training speed", arm, "images/s", tuple(sparse.batch_size / s for s in steps)),
            Measurement("whole run", arm, "s", whole_run(sparse, steps, passes), "extrapolated"),
        ]
    note = f"at most {VALIDATED[machine.device]:,} images timed, scaled"
    found += [Measurement("validation pass", arm, "s", tuple(passes), note) for arm, passes in checked.items()]
    for arm in seconds:
        if arm != PLAIN:
            found.append(Measurement("speed-up over the plain loop", arm, "x", ratios(seconds[PLAIN], seconds[arm])))
    found.append(Measurement("step over a step without masks", OURS, "x", ratios(seconds[OURS], seconds[DENSE])))
    found.append(Measurement("share of the roofline", OURS, "share", tuple(bound / s for s in seconds[OURS])))
    return sorted(found, key=_first_seen(found))


def _first_seen(found: list[Measurement]) -> Callable[[Measurement], int]:
    """Equal quantities stand together, in the order in which the first of them came."""
    order = list(dict.fromkeys(m.quantity for m in found))
    return lambda measurement: order.index(measurement.quantity)


@contextmanager
def _arms(spec: RunSpec, execution: Execution, machine: Machine) -> Iterator[dict[str, Callable[[], object]]]:
    """A step of every arm. Ours come first: CUDA graphs are recorded before the loader's threads touch the device."""
    network = {"data": spec.data, "model": spec.model}
    runs = {OURS: started(spec, execution), DENSE: started(RunSpec(method="Dense", **network), execution)}
    if machine.gpu:
        runs[EAGER] = started(spec, replace(execution, graph=False))
    images = data.split(made_up(spec.data, "cpu").train, spec.validation)[0]
    model, masks = plain.network(spec, machine.device)
    batches = plain.loader(images, spec, machine.device, workers(machine))
    runs[PLAIN] = plain.train(spec, model, masks, batches)
    try:
        yield {name: partial(next, run) for name, run in runs.items()}
    finally:
        for run in runs.values():
            run.close()


def workers(machine: Machine) -> int:
    """Processes of the plain loop's loader: what torch suggests for two cores, and what a GPU machine has to spare."""
    return 0 if machine.quick else 8 if machine.gpu else 2


def started(spec: RunSpec, execution: Execution) -> Iterator:
    """A run of ours, on made-up images, after its first step."""
    with mock.patch.object(data, "load", made_up):
        run = train.train(spec, execution)
        next(run)
    return run


@functools.lru_cache(maxsize=2)
def made_up(name: str, device: str) -> data.Dataset:
    """A data set of the right sizes whose pixels and labels are noise: no time depends on what an image shows."""
    source = SOURCES[name]
    draw = np.random.default_rng(0)
    channels, height, width = source.shape
    parts = []
    for n in (source.train, source.test):
        pixels = draw.integers(0, 256, (n, height, width, channels), dtype=np.uint8)
        labels = draw.integers(0, source.classes, n)
        parts.append(data.Images(torch.from_numpy(pixels), torch.from_numpy(labels)).to(device))
    return data.Dataset(source, *parts)


def validation(spec: RunSpec, execution: Execution, machine: Machine) -> dict[str, list[float]]:
    """Seconds of a validation pass of ours and of the plain loop's."""
    dataset = made_up(spec.data, machine.device)
    held_out = data.split(dataset.train, spec.validation)[1]
    images = held_out[torch.arange(min(VALIDATED[machine.device], len(held_out)), device=machine.device)]
    ours = prepare(spec, execution).model
    model, _ = plain.network(spec, machine.device)
    batches = plain.loader(images.to("cpu"), spec, machine.device, workers(machine), augment=False)
    arms = {
        OURS: lambda: train.evaluate(ours, images, dataset, execution),
        PLAIN: lambda: plain.accuracy(model, batches),
    }
    seconds = interleaved(arms, 3, machine.synchronise)
    return {arm: [s * spec.validation / len(images) for s in values] for arm, values in seconds.items()}


def whole_run(spec: RunSpec, steps: Sequence[float], passes: Sequence[float]) -> tuple[float, ...]:
    """Seconds of all steps and of the validation after every epoch, a value for every timed step."""
    passing = spec.total_epochs * float(np.median(passes))
    return tuple(spec.total_steps * step + passing for step in steps)


def _roofline(spec: RunSpec, execution: Execution, machine: Machine) -> list[Measurement]:
    """What the machine can do, what a step needs, and, last, the bound: at the best rates seen."""
    products, copies = roofline.rates(machine, execution.precision)
    model, _ = plain.network(spec, "cpu")
    activation = 2 if execution.precision == "bf16" else 4
    layers = roofline.layers(model, SOURCES[spec.data].shape, spec.batch_size, activation)
    bound = roofline.bound(layers, max(products.values), max(copies.values))
    return [
        products,
        copies,
        Measurement("operations of a dense step", "counted", "FLOP", (sum(layer.operations for layer in layers),)),
        Measurement("bytes of a dense step", "counted", "B", (sum(layer.bytes for layer in layers),)),
        Measurement("step", "roofline", "s", (bound,), "the lower bound"),
    ]
