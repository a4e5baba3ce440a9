"""What structure gains: whole networks with fewer channels against the dense one, and single layers in sparse forms."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks import layers, training
from benchmarks.timing import FEWEST, Machine, Measurement, fastest, interleaved, ratios, within_reason
from rigl_nb import flops, models
from rigl_nb.compact import compact
from rigl_nb.data.sources import SOURCES, Source
from rigl_nb.deploy import speed
from rigl_nb.execution.cores import computing
from rigl_nb.experiments.structured import DENSITY, EQUAL_TIME
from rigl_nb.iteration import autocast
from rigl_nb.sparsifier import Sparsifier
from rigl_nb.spec import RunSpec

DENSITIES = (0.1, 0.2, 0.5)
NETWORKS = {"wrn-22-2": "cifar10", "resnet50": "cifar100"}
QUICK = {"wrn-10-1": "cifar10", "resnet14-8": "cifar100"}
BATCHES = (1, 128)
PERIODS = {"wrn-10-1": (DENSITY, 39), "wrn-22-2": (0.1, 20)}  # density and ΔT of whole trainings


@dataclass(frozen=True)
class Smaller:
    """A network in place of the dense one: the module, or why there is none."""

    name: str
    module: nn.Module | None
    note: str  # its share of the dense FLOPs, or the reason


def measure(machine: Machine) -> list[Measurement]:
    """Dense seconds, and speed-ups over the faster dense memory format, of networks, then of layers at density 0.1."""
    found = []
    for name, data in (QUICK if machine.quick else NETWORKS).items():
        found += networks(machine, name, data, DENSITIES, batches(machine))
    found += period(machine, "wrn-22-2")
    for batch in batches(machine):
        found += layers.measure(machine, batch, threads(machine, batch))
    return found


def section_13(machine: Machine) -> list[Measurement]:
    """The same of the network that the report's section 13 trains, at the densities of its runs."""
    found = networks(machine, "wrn-10-1", "cifar10", (DENSITY, EQUAL_TIME), batches(machine)[1:])
    return found + period(machine, "wrn-10-1")


def networks(
    machine: Machine, name: str, data: str, densities: Iterable[float], sizes: Iterable[int]
) -> list[Measurement]:
    """A network beside smaller ones, both passes, at these sizes of a batch; and what could not be made."""
    source = SOURCES[data]
    dense = models.build(name, source.classes, channels=source.shape[0], rng=np.random.default_rng(0))
    every = list(smaller(name, dense, source, densities))
    others, found = [other for other in every if other.module], []
    for batch in sizes:
        for trains in (False, True):
            found += _network(machine, name, dense, others, source, batch, trains)
    return found + [Measurement("speed-up", other.name, "x", (), other.note) for other in every if not other.module]


def period(machine: Machine, name: str) -> list[Measurement]:
    """A training from one update of its channels to the next, the dense iteration included: masked, and compact."""
    (density, delta_t), how = PERIODS[name], machine.execution
    small = {"data": "digits", "epochs": 400} if machine.quick else {}
    spec = RunSpec(model=name, structure="channel", init="Random", density=density, delta_t=delta_t, **small)
    runs = {"masked": training.started(spec, how), "compact": training.started(spec, replace(how, compact=True))}
    arms = {label: partial(next, run) for label, run in runs.items()}
    seconds = interleaved(arms, FEWEST, machine.synchronise, delta_t, deadline=machine.deadline)
    what = f"training, batch {spec.batch_size}, ΔT {delta_t}"
    subject = f"{name}, hidden channels, density {density}"
    masked = Measurement(f"a step of {what}", f"{subject}, masked", "s", tuple(seconds["masked"]))
    gained = ratios(seconds["masked"], seconds["compact"])
    return [masked, Measurement(f"speed-up, {what}", subject, "x", gained, "over the masked training")]


def batches(machine: Machine) -> tuple[int, ...]:
    """Images of a batch."""
    return (1, 8) if machine.quick else BATCHES


def threads(machine: Machine, batch: int) -> int:
    """One image does not feed several threads: they slow it down."""
    return 1 if batch == 1 else torch.get_num_threads()


def smaller(name: str, dense: nn.Module, source, densities: Iterable[float]) -> Iterator[Smaller]:
    """Networks with fewer hidden channels, made by `compact`, and of smaller width everywhere, as Small-Dense."""
    whole = flops.inference_flops(dense, source.shape)
    for density in densities:
        label = f"{name}, hidden channels, density {density}"
        try:
            twin = models.build(name, source.classes, channels=source.shape[0], rng=np.random.default_rng(0))
            optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
            sparse = Sparsifier(twin, optimizer, "Static", "Random", density, structure="channel")
        except ValueError as error:
            yield Smaller(label, None, f"not measured: {error}")
            continue
        made = compact(twin, sparse)
        yield Smaller(label, made, _share(flops.inference_flops(made, source.shape) / whole))
    for density in densities:
        rng = np.random.default_rng(0)
        made = models.build(name, source.classes, math.sqrt(density), source.shape[0], rng=rng)
        label = f"{name}, all widths, density {density}"
        yield Smaller(label, made, _share(flops.inference_flops(made, source.shape) / whole))


def _share(fraction: float) -> str:
    return f"{100 * fraction:.1f} % of the FLOPs"


def _network(
    machine: Machine, name: str, dense: nn.Module, others: list[Smaller], source: Source, batch: int, trains: bool
) -> list[Measurement]:
    """Seconds of the dense network in both formats, and what the others gain over the faster one."""
    execution, count = machine.execution, threads(machine, batch)
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(batch, *source.shape, generator=draw).to(machine.device)
    y = torch.randint(source.classes, (batch,), generator=draw).to(machine.device)
    loss = (lambda output: F.cross_entropy(output.float(), y)) if trains else None

    def arm(module: nn.Module, layout: torch.memory_format) -> Callable[[], object]:
        return autocast(execution)(speed.step(module.to(machine.device), x, layout, loss))

    arms = {f"{name}, dense, {how}": arm(dense, layout) for how, layout in speed.LAYOUTS.items()}
    formats = list(arms)
    arms |= {other.name: arm(other.module, torch.channels_last) for other in others}
    what = f"{'training step' if trains else 'forward'}, batch {batch}, {count} thread{'s' if count > 1 else ''}"
    with computing(count):
        seconds = within_reason(machine, arms)
    best = fastest(seconds, formats)
    found = [Measurement(what, label, "s", tuple(seconds[label]), execution.precision) for label in formats]
    for other in others:
        values = ratios(seconds[best], seconds[other.name])
        found.append(Measurement(f"speed-up, {what}", other.name, "x", values, other.note))
    return found
