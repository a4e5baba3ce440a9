"""The loop of one run: a generator that yields after every iteration and returns the result. It knows no files.

On a GPU nothing in an epoch waits for the device, so several runs can take turns here and overlap there.
"""

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rigl_nb import data, flops, methods, rng
from rigl_nb.execution import Execution
from rigl_nb.execution.graph import on_a_lane
from rigl_nb.iteration import Legacy, Parts, autocast, iteration, network, prepare
from rigl_nb.schedules import learning_rate
from rigl_nb.spec import RunSpec

EVALUATION_BATCH = 250  # images; the activations of 500 leave the caches of a CPU, which takes 1.4 times longer


@dataclass(frozen=True)
class Progress:
    """Where a run stands after an iteration; `snapshot()` is all that is needed to go on from here."""

    spec: RunSpec
    step: int  # iterations done
    history: tuple[dict, ...]  # one row for every epoch done
    seconds: float  # spent training, earlier sittings included
    snapshot: Callable[[], dict]  # taken when it is called


@dataclass(frozen=True)
class Result:
    """What a finished run is worth. Accuracies in percent; FLOPs as fractions of the dense model's."""

    history: tuple[dict, ...]  # epoch, loss, train_accuracy, validation_accuracy, learning_rate, drop_fraction
    active: tuple[dict, ...]  # epoch and active weights per layer, where they changed
    test_accuracy: float  # of the last weights; no epoch is chosen
    test_flops: float  # inference at the end
    train_flops: float  # the mean over all iterations, times the multiplier; a lottery ticket's with its parent's
    dense_flops: float  # of the dense model's inference, per image, absolute
    seconds: float  # of training
    images_per_second: float
    masks: dict[str, Tensor]  # the final ones, on the CPU
    test_correct: Tensor  # which labels of the test part are predicted, bool of their shape, on the CPU
    test_bits: float | None = None  # cross-entropy of a character of text; its history has validation_bits


def train(
    spec: RunSpec, execution: Execution | None = None, parent: Legacy | None = None, state: dict | None = None
) -> Generator[Progress, None, Result]:
    """Train one run; `state`, a snapshot of the same run, goes on where it was taken, bit for bit.

    `parent` is what the spec's parent left. Raises ValueError when that is missing or the snapshot is another run's.
    """
    execution = execution or Execution.best()
    return (yield from on_a_lane(_train(spec, execution, parent, state), execution))


def _train(spec: RunSpec, execution: Execution, parent, state) -> Generator[Progress, None, Result]:
    dataset = data.load(spec.data, execution.device)
    images, validation = data.split(dataset.train, spec.validation)
    method, parts = methods.get(spec.method), prepare(spec, execution, parent)
    layers = flops.layer_flops(parts.model, dataset.source.example)
    dense = flops.inference_flops(network(spec, full=True), dataset.source.example)
    step, seconds, spent = 0, 0.0, 0.0
    history, active = [], [{"epoch": 0, "counts": parts.sparsifier.counts()}]
    if state is not None:
        if state["run_id"] != spec.run_id:
            raise ValueError(f"the snapshot is of run {state['run_id']}, not of {spec.run_id}")
        parts.restore(state)
        step, history, active = state["step"], list(state["history"]), list(state["active"])
        seconds, spent = state["seconds"], state["spent"]

    def snapshot() -> dict:
        if parts.rate.is_cuda:
            torch.cuda.synchronize(parts.rate.device)  # where the iteration may still be under way
        numbers = dict(run_id=spec.run_id, step=step, history=tuple(history), active=tuple(active))
        return parts.snapshot(**numbers, seconds=seconds, spent=spent)

    clock, decay_every = time.perf_counter(), spec.decay_every * spec.multiplier
    iterate = iteration(spec, execution, parts, dataset.source, images)
    fraction = flops.weighted(layers, parts.sparsifier.densities()) / dense
    while step < spec.total_steps:
        epoch, first = divmod(step, spec.steps_per_epoch)
        order = rng.numpy_generator(spec.seed, "order", epoch).permutation(len(images))
        order = torch.from_numpy(order).to(execution.device)
        for rows in order.split(spec.batch_size)[first:]:
            rate = learning_rate(step, spec.learning_rate, decay_every, spec.decay_factor, spec.warmup)
            parts.rate.fill_(rate)
            updated = iterate(rows)
            spent += flops.step_fraction(fraction, method.dense_momentum or (updated and method.dense_gradients))
            if updated:
                fraction = flops.weighted(layers, parts.sparsifier.densities()) / dense
            step += 1
            if step % spec.steps_per_epoch == 0:
                scores = evaluate(parts.network(), validation, dataset, execution)
                history.append(_epoch_row(epoch + 1, rate, parts, scores))
                if (counts := parts.sparsifier.counts()) != active[-1]["counts"]:
                    active.append({"epoch": epoch + 1, "counts": counts})
            now = time.perf_counter()
            seconds, clock = seconds + now - clock, now
            yield Progress(spec, step, tuple(history), seconds, snapshot)
            clock = time.perf_counter()  # what the consumer does in between is not training
    worth = evaluate(parts.network(), dataset.test, dataset, execution)
    inherited = parent.train_flops if method.start == "parent" else 0.0
    return Result(
        history=tuple(history),
        active=tuple(active),
        **{f"test_{name}": value for name, value in worth.items()},
        test_flops=fraction,
        train_flops=spent / spec.total_steps * spec.multiplier + inherited,
        dense_flops=dense,
        seconds=seconds,
        images_per_second=spec.total_epochs * len(images) / seconds,
        masks={name: mask.cpu() for name, mask in parts.sparsifier.masks.items()},
    )


def _epoch_row(epoch: int, rate: float, parts: Parts, validation: dict) -> dict:
    loss, correct, labels = parts.totals.tolist()
    parts.totals.zero_()
    return {
        "epoch": epoch,
        "loss": loss / labels,
        "train_accuracy": 100 * correct / labels,
        **{f"validation_{name}": value for name, value in validation.items() if name != "correct"},
        "learning_rate": rate,
        "drop_fraction": parts.sparsifier.drop_fraction,
    }


@torch.no_grad()
def evaluate(model: nn.Module, images: data.Images, dataset: data.Dataset, execution: Execution) -> dict:
    """Accuracy in percent over all labels; of text also bits per character. None when there are no images.

    And which labels are `correct`, bool of their shape on the CPU: one copy, as no batch waits for the device. Every
    window of text begins without memory: its first characters are the hardest, in each method alike.
    """
    model.eval()
    correct = []
    double = torch.float32 if execution.kind == "mps" else torch.float64  # which Apple's GPUs do not have
    nats = torch.zeros((), device=execution.device, dtype=double)
    for rows in torch.arange(len(images), device=execution.device).split(EVALUATION_BATCH):
        with autocast(execution):
            logits = model(data.batch(images, rows, dataset.source))
        correct.append(logits.argmax(1) == images.labels[rows])
        if dataset.source.text:
            nats += F.cross_entropy(logits.float(), images.labels[rows], reduction="sum")
    correct = torch.cat(correct).cpu()
    n, scores = correct.numel(), {"correct": correct}
    scores["accuracy"] = 100 * int(correct.sum()) / n if n else None
    if dataset.source.text:
        scores["bits"] = nats.item() / n / math.log(2) if n else None
    return scores
