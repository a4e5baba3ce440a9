"""One iteration of training: what has a state, how it is made, and the step on one batch."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rigl_nb import data, methods, models, rng
from rigl_nb.graph import Replay
from rigl_nb.sparsifier import Sparsifier
from rigl_nb.spec import Execution, RunSpec


@dataclass(frozen=True)
class Parts:
    """Everything of a run that has a state."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    sparsifier: Sparsifier
    generators: dict[str, torch.Generator]  # augment, dropout
    totals: Tensor  # of the running epoch: loss, correct, images
    rate: Tensor  # the optimizer's learning rate, on the device

    def snapshot(self, **extra: object) -> dict:
        """All states and `extra`, by name; the tensors are the live ones."""
        return extra | {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sparsifier": self.sparsifier.state_dict(),
            "generators": {name: g.get_state() for name, g in self.generators.items()},
            "totals": self.totals.clone(),
        }

    def restore(self, state: dict) -> None:
        """Take over what `snapshot` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        _share(self.rate, self.optimizer)
        self.sparsifier.load_state_dict(state["sparsifier"])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name])
        self.totals.copy_(state["totals"])


def prepare(spec: RunSpec, execution: Execution) -> Parts:
    """Model, optimizer, masks and generators of a run at its start; weights, masks and order come from the seed."""
    model = network(spec, rng.numpy_generator(spec.seed, "weights")).to(execution.device)
    if execution.channels_last:
        model = model.to(memory_format=torch.channels_last)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    rate = torch.tensor(spec.learning_rate, device=execution.device)
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": others}],
        lr=spec.learning_rate,
        momentum=spec.momentum,
        nesterov=spec.nesterov,
        fused=rate.is_cuda,  # the one kind that reads the rate on the device
    )
    _share(rate, optimizer)
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
    totals = torch.zeros(3, device=execution.device)
    return Parts(model, optimizer, sparsifier, generators, totals, rate)


def _share(rate: Tensor, optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def network(spec: RunSpec, weights: np.random.Generator | None = None, full: bool = False) -> nn.Module:
    """The run's network; `full`: at full width, whatever the method."""
    source = data.SOURCES[spec.data]
    narrow = methods.get(spec.method).narrow and not full
    width = math.sqrt(spec.density) if narrow else 1.0
    return models.build(spec.model, source.classes, width, source.shape[0], spec.dropout, weights)


def iteration(
    spec: RunSpec, execution: Execution, parts: Parts, source: data.Source, images: data.Images
) -> Callable[[Tensor], bool]:
    """One iteration, as a function of the batch's rows; True when it updated the masks.

    Two pieces are worth recording, gradients and descent: an update of the masks takes the place of the second.
    """
    batch = torch.zeros(spec.batch_size, dtype=torch.int64, device=execution.device)

    def gradients(rows: Tensor = batch, in_place: bool = False) -> None:
        x, y = data.batch(images, rows, source, parts.generators["augment"]), images.labels[rows]
        parts.model.train()
        with autocast(execution):
            logits = parts.model(x)
        loss = F.cross_entropy(logits.float(), y, label_smoothing=spec.label_smoothing)
        parts.optimizer.zero_grad(set_to_none=not in_place)
        loss.backward()
        with torch.no_grad():
            correct = (logits.argmax(1) == y).sum()
            parts.totals.add_(torch.stack([loss * len(y), correct, torch.full_like(correct, len(y))]))

    replay = Replay(gradients, parts.generators.values(), execution.graph)
    parts.sparsifier.descend = Replay(parts.sparsifier.descend, (), execution.graph)

    def iterate(rows: Tensor) -> bool:
        if len(rows) == len(batch):
            batch.copy_(rows)
            replay()
        else:  # an epoch's last batch is smaller; its gradients go where a recorded descent looks for them
            gradients(rows, in_place=True)
        return parts.sparsifier.step()

    return iterate


def autocast(execution: Execution) -> torch.autocast:
    """The precision of activations."""
    device = torch.device(execution.device).type
    return torch.autocast(device, torch.bfloat16, enabled=execution.precision == "bf16")
