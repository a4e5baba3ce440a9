"""Several runs of WRN-22-2 on one GPU: taking turns on streams, in processes of their own, or stacked as one model."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch.func import functional_call, grad, stack_module_state, vmap

from benchmarks import plain
from benchmarks.timing import Machine, Measurement, interleaved
from benchmarks.training import OURS, specification, started, validation, whole_run
from rigl_nb import models
from rigl_nb.data.sources import SOURCES
from rigl_nb.execution import Execution
from rigl_nb.spec import RunSpec

WIDTHS = (1, 2, 4, 8, 16)
TOGETHER = 4  # processes, and models in a stack
STEP, STACKED, PROCESSES = "GPU time of a step, per run", f"{TOGETHER} stacked", f"{TOGETHER} processes"
PATIENCE = 180.0  # seconds that a process waits for the others
RECORDED = 8  # steps after which all CUDA graphs are recorded


def measure(machine: Machine) -> list[Measurement]:
    """GPU seconds of a step and of a whole run, per run: what the whole GPU needs, divided by the runs on it."""
    if not machine.gpu:
        return [Measurement(STEP, "packing", "s", (), "not measured: it needs a GPU")]
    spec, execution = specification("wrn-22-2", machine), machine.execution
    rounds, steps, widths = (3, 2, WIDTHS[:2]) if machine.quick else (9, 20, WIDTHS)
    passes = validation(spec, execution, machine)[OURS]
    runs = [started(replace(spec, seed=seed), execution) for seed in range(max(widths))]
    shares = {f"{width} on streams": width for width in widths}
    arms = {name: partial(_times, steps, partial(turns, runs[:width])) for name, width in shares.items()}
    stacked, reason = _attempt(partial(stack, spec, machine.device))
    if stacked:
        arms[STACKED], shares[STACKED] = partial(_times, steps, stacked), TOGETHER
    with processes(TOGETHER, spec, execution, steps) as together:
        arms[PROCESSES], shares[PROCESSES] = together, TOGETHER
        seconds = interleaved(arms, rounds, machine.synchronise, deadline=machine.deadline)
    for run in runs:
        run.close()
    per_run = {name: tuple(s / steps / shares[name] for s in values) for name, values in seconds.items()}
    whole = {name: whole_run(spec, values, passes) for name, values in per_run.items()}
    remarks = {STACKED: "eager, plain SGD, one fixed batch"}
    note = "extrapolated; validation is not overlapped"
    found = [Measurement(STEP, name, "s", values, remarks.get(name, "")) for name, values in per_run.items()]
    found += [] if stacked else [Measurement(STEP, STACKED, "s", (), f"given up: {reason}")]
    return found + [Measurement("GPU time of a run", name, "s", values, note) for name, values in whole.items()]


def turns(runs: list[Iterator]) -> None:
    """An iteration of each run."""
    for run in runs:
        next(run)


def _times(steps: int, step: Callable[[], None]) -> None:
    for _ in range(steps):
        step()


def _attempt(action: Callable[[], Callable]) -> tuple[Callable | None, str]:
    """What the action makes, tried once; None and the reason where torch refuses."""
    try:
        made = action()
        made()
        return made, ""
    except (RuntimeError, NotImplementedError, ValueError) as error:
        return None, f"{type(error).__name__}: {str(error).splitlines()[0]}"


@contextmanager
def processes(count: int, spec: RunSpec, execution: Execution, steps: int) -> Iterator[Callable[[], None]]:
    """Processes with a run each on one device; the callable lets each do `steps` and returns when all are done."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count + 1, timeout=PATIENCE)
    jobs = [
        context.Process(target=_job, args=(barrier, replace(spec, seed=seed), execution, steps), daemon=True)
        for seed in range(count)
    ]
    for job in jobs:
        job.start()

    def together() -> None:
        barrier.wait()  # all begin
        barrier.wait()  # all are done

    try:
        barrier.wait()  # all are ready
        yield together
    finally:
        barrier.abort()  # which ends those that wait
        for job in jobs:
            job.join()


def _job(barrier, spec: RunSpec, execution: Execution, steps: int) -> None:
    machine = Machine(execution.device)
    try:
        run = started(spec, execution)
        _times(RECORDED, partial(next, run))
        machine.synchronise()
        barrier.wait()
        while True:
            barrier.wait()
            _times(steps, partial(next, run))
            machine.synchronise()
            barrier.wait()
    except threading.BrokenBarrierError:
        pass  # the others need no more steps
    finally:
        barrier.abort()  # after a crash nobody waits for this one


def stack(spec: RunSpec, device: str) -> Callable[[], None]:
    """A step of several models as one: forward and backward through `vmap`, masks, plain SGD, in bf16."""
    copies = [plain.network(replace(spec, seed=seed), device) for seed in range(TOGETHER)]
    networks, masks = zip(*copies, strict=True)
    for network in networks:
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.track_running_stats, module.running_mean, module.running_var = False, None, None
                module.num_batches_tracked = None
    weights, buffers = stack_module_state(list(networks))
    stacked = {name: torch.stack([mask[name] for mask in masks]) for name in models.maskable(networks[0])}
    source, shape = SOURCES[spec.data], (TOGETHER, spec.batch_size)
    x = torch.randn(*shape, *source.shape, device=device, dtype=torch.bfloat16)
    y = torch.randint(source.classes, shape, device=device)

    def loss(weights: dict, buffers: dict, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        half = {name: weight.bfloat16() for name, weight in weights.items()}  # autocast does not reach every `vmap`
        logits = functional_call(networks[0], (half, buffers), (x,))
        return F.cross_entropy(logits.float(), y)

    gradients = vmap(grad(loss), randomness="different")

    def step() -> None:
        found = gradients(weights, buffers, x, y)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.sub_(found[name], alpha=spec.learning_rate)
                if name in stacked:
                    weight.mul_(stacked[name])

    return step
