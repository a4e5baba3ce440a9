"""The loop of one run: a generator that yields after every iteration and returns the result.

It knows no files: whoever drives it shows progress, takes snapshots and keeps the result.
"""

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rigl_nb import data, flops, methods, models, rng
from rigl_nb.schedules import learning_rate
from rigl_nb.sparsifier import Sparsifier
from rigl_nb.spec import Execution, RunSpec

EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Progress:
    """Where a run stands after an iteration; `snapshot()` is all that is needed to go on from here."""

    spec: RunSpec
    step: int  # iterations done
    history: tuple[dict, ...]  # one row for every epoch done
    seconds: float  # spent training, earlier sittings included
    snapshot: Callable[[], dict]

    @property
    def images_per_second(self) -> float:
        """Training images per second so far."""
        return self.step * self.spec.batch_size / self.seconds


@dataclass(frozen=True)
class Result:
    """What a finished run is worth. Accuracies in percent; FLOPs as fractions of the dense model's."""

    history: tuple[dict, ...]  # epoch, loss, train_accuracy, validation_accuracy, learning_rate, drop_fraction
    active: tuple[dict, ...]  # epoch and active weights per layer, where they changed
    test_accuracy: float
    test_flops: float  # inference at the end
    train_flops: float  # the mean over all iterations, times the multiplier
    dense_flops: float  # of the dense model's inference, per image, absolute
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class _Parts:
    """Everything of a run that has a state."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    sparsifier: Sparsifier
    generators: dict[str, torch.Generator]  # augment, dropout
    totals: Tensor  # of the running epoch: loss, correct, images

    def snapshot(self, **extra: object) -> dict:
        return extra | {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sparsifier": self.sparsifier.state_dict(),
            "generators": {name: g.get_state() for name, g in self.generators.items()},
            "totals": self.totals.clone(),
        }

    def restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sparsifier.load_state_dict(state["sparsifier"])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name])
        self.totals.copy_(state["totals"])


def train(
    spec: RunSpec, execution: Execution | None = None, state: dict | None = None
) -> Generator[Progress, None, Result]:
    """Train one run; `state`, a snapshot of the same run, goes on where it was taken, bit for bit.

    Raises ValueError when the snapshot is another run's.
    """
    execution = execution or Execution.best()
    if execution.threads:
        torch.set_num_threads(execution.threads)
    dataset = data.load(spec.data, execution.device)
    images, validation = data.split(dataset.train, spec.validation)
    parts = prepare(spec, execution)
    cost = _Cost.of(spec, parts.model)
    step, history, active, seconds, spent = (
        0,
        [],
        [{"epoch": 0, "counts": parts.sparsifier.counts()}],
        0.0,
        0.0,
    )
    if state is not None:
        if state["run_id"] != spec.run_id:
            raise ValueError(f"the snapshot is of run {state['run_id']}, not of {spec.run_id}")
        parts.restore(state)
        step, history, active = state["step"], list(state["history"]), list(state["active"])
        seconds, spent = state["seconds"], state["spent"]

    def snapshot() -> dict:
        numbers = dict(run_id=spec.run_id, step=step, history=tuple(history), active=tuple(active))
        return parts.snapshot(**numbers, seconds=seconds, spent=spent)

    clock = time.perf_counter()
    fraction = cost.fraction(parts.sparsifier)
    while step < spec.total_steps:
        epoch, first = divmod(step, spec.steps_per_epoch)
        order = rng.numpy_generator(spec.seed, "order", epoch).permutation(len(images))
        order = torch.from_numpy(order).to(execution.device)
        for rows in order.split(spec.batch_size)[first:]:
            rate = learning_rate(
                step, spec.learning_rate, spec.decay_every * spec.multiplier, spec.decay_factor, spec.warmup
            )
            updated = _iterate(spec, execution, parts, dataset.source, images, rows, rate)
            spent += flops.step_fraction(fraction, updated and methods.get(spec.method).dense_gradients)
            if updated:
                fraction = cost.fraction(parts.sparsifier)
            step += 1
            if step % spec.steps_per_epoch == 0:
                history.append(
                    _epoch_row(epoch + 1, rate, parts, evaluate(parts.model, validation, dataset, execution))
                )
                if (counts := parts.sparsifier.counts()) != active[-1]["counts"]:
                    active.append({"epoch": epoch + 1, "counts": counts})
            now = time.perf_counter()
            seconds, clock = seconds + now - clock, now
            yield Progress(spec, step, tuple(history), seconds, snapshot)
            clock = time.perf_counter()  # what the consumer does in between is not training
    return Result(
        history=tuple(history),
        active=tuple(active),
        test_accuracy=evaluate(parts.model, dataset.test, dataset, execution),
        test_flops=fraction,
        train_flops=spent / spec.total_steps * spec.multiplier,
        dense_flops=cost.dense,
        seconds=seconds,
        images_per_second=spec.total_epochs * len(images) / seconds,
    )


def prepare(spec: RunSpec, execution: Execution) -> _Parts:
    """Model, optimizer, masks and generators of a run at its start; weights, masks and order come from the seed."""
    model = _network(spec, rng.numpy_generator(spec.seed, "weights")).to(execution.device)
    if execution.channels_last:
        model = model.to(memory_format=torch.channels_last)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": others}],
        lr=spec.learning_rate,
        momentum=spec.momentum,
        nesterov=spec.nesterov,
    )
    updates = dict(alpha=spec.alpha, delta_t=spec.delta_t) if spec.alpha is not None else {}
    sparsifier = Sparsifier(
        model, optimizer, spec.method, spec.init, spec.density, t_end=spec.t_end, seed=spec.seed, **updates
    )
    generators = {
        name: rng.torch_generator(spec.seed, name, device=execution.device) for name in ("augment", "dropout")
    }
    for module in model.modules():
        if isinstance(module, models.Dropout):
            module.generator = generators["dropout"]
    return _Parts(model, optimizer, sparsifier, generators, torch.zeros(3, device=execution.device))


def _network(spec: RunSpec, weights=None, full: bool = False) -> nn.Module:
    source = data.SOURCES[spec.data]
    narrow = methods.get(spec.method).narrow and not full
    width = math.sqrt(spec.density) if narrow else 1.0
    return models.build(spec.model, source.classes, width, source.shape[0], spec.dropout, weights)


def _iterate(spec, execution, parts: _Parts, source, images, rows: Tensor, rate: float) -> bool:
    """One iteration; True when it updated the masks."""
    for group in parts.optimizer.param_groups:
        group["lr"] = rate
    x, y = data.batch(images, rows, source, parts.generators["augment"]), images.labels[rows]
    parts.model.train()
    with _autocast(execution):
        logits = parts.model(x)
    loss = F.cross_entropy(logits.float(), y, label_smoothing=spec.label_smoothing)
    parts.optimizer.zero_grad()
    loss.backward()
    updated = parts.sparsifier.step()
    with torch.no_grad():
        correct = (logits.argmax(1) == y).sum()
        parts.totals.add_(torch.stack([loss * len(y), correct, torch.full_like(correct, len(y))]))
    return updated


def _epoch_row(epoch: int, rate: float, parts: _Parts, validation_accuracy: float | None) -> dict:
    loss, correct, images = parts.totals.tolist()
    parts.totals.zero_()
    return {
        "epoch": epoch,
        "loss": loss / images,
        "train_accuracy": 100 * correct / images,
        "validation_accuracy": validation_accuracy,
        "learning_rate": rate,
        "drop_fraction": parts.sparsifier.drop_fraction,
    }


@torch.no_grad()
def evaluate(model: nn.Module, images: data.Images, dataset: data.Dataset, execution: Execution) -> float | None:
    """Accuracy in percent, correct over all images; None when there are none."""
    if not len(images):
        return None
    model.eval()
    correct = torch.zeros((), device=execution.device, dtype=torch.int64)
    for rows in torch.arange(len(images), device=execution.device).split(EVALUATION_BATCH):
        with _autocast(execution):
            logits = model(data.batch(images, rows, dataset.source))
        correct += (logits.argmax(1) == images.labels[rows]).sum()
    return 100 * correct.item() / len(images)


def _autocast(execution: Execution) -> torch.autocast:
    device = torch.device(execution.device).type
    return torch.autocast(device, torch.bfloat16, enabled=execution.precision == "bf16")


@dataclass(frozen=True)
class _Cost:
    """Inference FLOPs of this run's network, layer by layer, against the dense full-width one."""

    layers: dict[str, float]
    dense: float

    @classmethod
    def of(cls, spec: RunSpec, model: nn.Module) -> "_Cost":
        shape = data.SOURCES[spec.data].shape
        return cls(flops.layer_flops(model, shape), flops.inference_flops(_network(spec, full=True), shape))

    def fraction(self, sparsifier: Sparsifier) -> float:
        return flops.weighted(self.layers, sparsifier.densities()) / self.dense
