"""Pieces timed directly: what masks cost, what is counted before a training, and what is read and made after it."""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks.timing import Machine, Measurement, interleaved
from benchmarks.training import specification, started
from rigl_nb import distributions, flops, models, paths, train
from rigl_nb.data.sources import SOURCES
from rigl_nb.execution import Execution
from rigl_nb.execution.graph import Replay, lane
from rigl_nb.iteration import prepare
from rigl_nb.runs.origin import provenance
from rigl_nb.runs.record import COLUMNS, Record, from_result
from rigl_nb.runs.store import Store
from rigl_nb.spec import RunSpec

UPDATE_EVERY = 100  # steps, the report's
NETWORKS = ("wrn-22-2", "resnet50")
NOTEBOOK = "05_1_cifar10"


def masks(machine: Machine) -> list[Measurement]:
    """Masking gradients, weights and momentum, and an update of the masks, of WRN-22-2: as shares of its training."""
    spec, execution = specification("wrn-22-2", machine), machine.execution
    parts, run, enter = prepare(spec, execution), started(spec, execution), lane(execution)
    for parameter in parts.model.parameters():
        parameter.grad = torch.randn_like(parameter)
    parts.optimizer.step()  # an update carries the momentum along: there has to be one
    machine.synchronise()  # the lane starts from here

    def both() -> None:
        parts.sparsifier.mask_gradients()
        parts.sparsifier.apply()

    replayed = Replay(both, (), execution.graph)  # as a run replays it

    def masking() -> None:
        with enter():
            replayed()

    arms = {"a training step": partial(next, run), "masking": masking, "an update": parts.sparsifier.update}
    rounds, steps = (3, 1) if machine.quick else (15, 20 if machine.gpu else 3)
    seconds = interleaved(arms, rounds, machine.synchronise, steps, lead_in=1, deadline=machine.deadline)
    run.close()
    step, masking, update = (seconds[name] for name in arms)
    updates = tuple(u / (UPDATE_EVERY * s) for u, s in zip(update, step, strict=True))
    return [
        *(Measurement("time", name, "s", tuple(values)) for name, values in seconds.items()),
        Measurement("share of a step", "masking", "share", tuple(m / s for m, s in zip(masking, step, strict=True))),
        Measurement("share of training", "an update", "share", updates, f"one every {UPDATE_EVERY} steps"),
    ]


def counting(machine: Machine) -> list[Measurement]:
    """The ERK solve with exact counts, and the FLOP count, for both networks."""
    found = []
    for name in NETWORKS:
        spec = RunSpec(data="cifar10", model=name, method="Dense")
        source = SOURCES[spec.data]
        model = models.build(name, source.classes)
        shapes = {key: tuple(weight.shape) for key, weight in models.maskable(model).items()}

        def solve(shapes: dict = shapes) -> None:
            distributions.counts(shapes, distributions.erdos_renyi_kernel(shapes, 0.1))

        arms = {"ERK solve": solve, "FLOP count": partial(flops.inference_flops, model, source.shape)}
        seconds = interleaved(arms, 3 if machine.quick else 9)
        found += [Measurement(what, name, "s", tuple(values)) for what, values in seconds.items()]
    return found


def records(machine: Machine) -> list[Measurement]:
    """A store of 10,000 records of 250 epochs: save and find one, load all, make the table."""
    count, repeats = (20, 1) if machine.quick else (10_000, 3)
    execution = Execution()
    origin = provenance("cpu")
    with tempfile.TemporaryDirectory(prefix="rigl-") as folder:
        store, specs = Store(Path(folder)), list(_specs(count))
        made = (_record(spec, execution, origin) for spec in specs)
        saved = [_seconds(partial(store.save, record)) for record in made]
        found = [_seconds(partial(store.find, spec)) for spec in specs[:: max(1, count // 200)]]
        loaded = [_seconds(store.records) for _ in range(repeats)]
        framed = [_seconds(partial(store.frame, specs)) for _ in range(repeats)]
    of = f"a store of {count:,} records"
    named = {"save one": saved, "find one": found, "load all": loaded, "table of all": framed}
    return [Measurement(what, of, "s", tuple(values)) for what, values in named.items()]


def pages(machine: Machine) -> list[Measurement]:
    """One notebook executed by papermill, and the report built from the committed notebooks."""
    missing = [name for name in ("papermill", "jupytext", "sphinx") if importlib.util.find_spec(name) is None]
    if missing or machine.quick:
        note = f"not measured: {', '.join(missing)} not installed" if missing else "not measured: quick"
        return [Measurement("time", what, "s", (), note) for what in (NOTEBOOK, "report")]
    from rigl_nb.report.pages import execute, stitching

    source = paths.ROOT / "notebooks"
    committed = sorted(source.glob("[0-9]*.ipynb"))
    with tempfile.TemporaryDirectory(prefix="rigl-") as folder:
        parameters = {"profile": "", "interactive": False}
        output = Path(folder) / f"{NOTEBOOK}.ipynb"
        notebook = _seconds(partial(execute.execute, source / output.name, output, parameters))
        report = _seconds(partial(stitching.stitch, committed, Path(folder) / "report"))
    return [
        Measurement("time", f"notebook {NOTEBOOK}", "s", (notebook,), "executed by papermill, nothing trained"),
        Measurement("time", "report", "s", (report,), f"{len(committed)} executed notebooks, three forms"),
    ]


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _specs(count: int) -> Iterator[RunSpec]:
    """Distinct runs, five seeds of each configuration."""
    for i in range(count):
        yield RunSpec(init="ERK", density=0.05 + 0.9 * (i // 5) / count, seed=i % 5)


def _record(spec: RunSpec, execution: Execution, origin: dict) -> Record:
    """A record as large as a real one, with made-up numbers."""
    history = tuple(dict.fromkeys(COLUMNS, 100 / (epoch + 3)) | {"epoch": epoch} for epoch in range(1, spec.epochs + 1))
    counts = {f"blocks.{i}.conv{j}.weight": 14_000 + 37 * i + j for i in range(9) for j in (1, 2)}
    result = train.Result(
        history=history,
        active=({"epoch": 0, "counts": counts},),
        test_accuracy=91.7,
        test_flops=1 / 7,
        train_flops=1 / 6,
        dense_flops=3.0e8,
        seconds=100 / 3,
        images_per_second=20_000 / 3,
        masks={},
        test_correct=torch.zeros(0, dtype=torch.bool),
    )
    return from_result(spec, result, execution, origin)
