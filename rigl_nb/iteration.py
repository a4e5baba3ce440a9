"""One iteration of training: what has a state, how it is made, and the step on one batch."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rigl_nb import data, masks, methods, models, rng
from rigl_nb.compact import expand, resize
from rigl_nb.distributions import erdos_renyi_kernel
from rigl_nb.execution import Execution
from rigl_nb.execution.graph import Replay
from rigl_nb.masking.channels import Channel
from rigl_nb.published_code import PublishedCode
from rigl_nb.sparsifier import Sparsifier
from rigl_nb.spec import UPDATES, RunSpec


@dataclass(frozen=True)
class Legacy:
    """What a finished run leaves to the runs that start from it."""

    masks: Mapping[str, Tensor]  # the final ones, by parameter name
    train_flops: float  # what its training cost, as a fraction of dense training


@dataclass(frozen=True)
class Parts:
    """Everything of a run that has a state."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    sparsifier: Sparsifier
    generators: dict[str, torch.Generator]  # augment, dropout
    totals: Tensor  # of the running epoch: loss, correct, labels
    rate: Tensor  # the optimizer's learning rate, on the device where a fused one reads it there
    compact: bool = False  # while no update of the masks is due

    def network(self) -> nn.Module:
        """The model in the form that the next iteration trains."""
        if self.compact:
            resize(self.model, self.sparsifier)
        return self.model

    def snapshot(self, **extra: object) -> dict:
        """All states and `extra`, by name, of the whole model; the tensors are the live ones."""
        expand(self.sparsifier)
        return extra | {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sparsifier": self.sparsifier.state_dict(),
            "generators": {name: g.get_state() for name, g in self.generators.items()},
            "totals": self.totals.clone(),
        }

    def restore(self, state: dict) -> None:
        """Take over what `snapshot` gave."""
        expand(self.sparsifier)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        self.sparsifier.load_state_dict(state["sparsifier"])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name])
        self.totals.copy_(state["totals"])


def prepare(spec: RunSpec, execution: Execution, parent: Legacy | None = None) -> Parts:
    """Model, optimizer, masks and generators of a run at its start; weights, masks and order come from the seed.

    Raises ValueError where what a parent left is missing, or the execution does not go with the run.
    """
    if execution.compact:
        _check_compact(spec)
    model = network(spec, rng.numpy_generator(spec.seed, "weights")).to(execution.device)
    if execution.channels_last:
        model = model.to(memory_format=torch.channels_last)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": others}]
    rate = torch.tensor(spec.learning_rate, device=execution.device if execution.kind == "cuda" else "cpu")
    how = {"lr": spec.learning_rate, "fused": rate.is_cuda}  # fused reads a rate there
    if spec.optimizer == "SGD":
        optimizer = torch.optim.SGD(groups, momentum=spec.momentum, nesterov=spec.nesterov, **how)
    else:  # capturable: its count of steps is on the device, and a graph can move it
        optimizer = torch.optim.Adam(groups, betas=(spec.momentum, 0.999), capturable=rate.is_cuda, **how)
    for group in optimizer.param_groups:
        group["lr"] = rate
    updates = {name: value for name in ("t_end", "seed", *UPDATES) if (value := getattr(spec, name)) is not None}
    density = 1.0 if methods.get(spec.method).narrow else spec.density  # the model is narrow already
    kind = partial(PublishedCode, behaviours=spec.published_code) if spec.published_code else Sparsifier
    channels = spec.structure == "channel"
    how = updates | {"structure": Channel(multiple=spec.channels_multiple) if channels else spec.structure}
    sparsifier = kind(model, optimizer, spec.method, _init(spec, parent), density, **how)
    streams = ("augment", "dropout")
    generators = {name: rng.torch_generator(spec.seed, name, device=execution.device) for name in streams}
    for module in model.modules():
        if isinstance(module, models.Dropout):
            module.generator = generators["dropout"]
    totals = torch.zeros(3, device=execution.device)
    return Parts(model, optimizer, sparsifier, generators, totals, rate, execution.compact)


def _check_compact(spec: RunSpec) -> None:
    """ValueError for a run that has no compact network, or would be another one with it."""
    way = "set compact=False, without --compact"
    if spec.structure != "channel":
        raise ValueError(
            f"compact True is not allowed with structure {spec.structure}, of which no channel dies: {way}"
        )
    if spec.clip:
        raise ValueError(
            f"compact True is not allowed with clip {spec.clip}, a norm of dead channels' gradients too: {way}"
        )


def _init(spec: RunSpec, parent: Legacy | None) -> str | Callable | dict[str, Tensor] | None:
    """A distribution, the parent's masks, or random masks of its densities."""
    if (parent is None) != (spec.parent is None):
        needed = spec.parent and f"what {spec.parent.run_id} left"
        raise ValueError(f"parent is {'missing' if needed else 'not allowed'}: {spec.run_id} starts from {needed}")
    if spec.parent is None:
        return spec.init if spec.exponent == 1 else partial(erdos_renyi_kernel, exponent=spec.exponent)
    if spec.init != "Densities":
        return dict(parent.masks)
    draw = rng.numpy_generator(spec.seed, "masks")
    return {name: masks.random_mask(mask.shape, int(mask.sum()), draw) for name, mask in parent.masks.items()}


def digest(spec: RunSpec) -> str:
    """SHA-256 of the weights that the run's seed gives on this machine, before any is masked."""
    parameters = network(spec, rng.numpy_generator(spec.seed, "weights")).parameters()
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in parameters)).hexdigest()


def network(spec: RunSpec, weights: np.random.Generator | None = None, full: bool = False) -> nn.Module:
    """The run's network; `full`: at full width, whatever the method."""
    source = data.SOURCES[spec.data]
    width = math.sqrt(spec.density) if methods.get(spec.method).narrow and not full else 1.0
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
        if spec.clip:  # gradients as they are: inactive weights' count in the norm, and one factor changes no ranking
            nn.utils.clip_grad_norm_(parts.model.parameters(), spec.clip)
        with torch.no_grad():
            correct = (logits.argmax(1) == y).sum()
            parts.totals.add_(torch.stack([loss * y.numel(), correct, torch.full_like(correct, y.numel())]))

    replay = Replay(gradients, parts.generators.values(), execution.graph)
    descent = Replay(parts.sparsifier.descend, (), execution.graph, after=replay)  # of the gradients that it leaves

    def iterate(rows: Tensor) -> bool:
        parts.network()
        if len(rows) == len(batch):
            batch.copy_(rows)
            replay()
        else:  # an epoch's last batch is smaller; its gradients go where a recorded descent looks for them
            gradients(rows, in_place=True)
        return parts.sparsifier.advance(descent)

    return iterate


def autocast(execution: Execution) -> torch.autocast:
    """The precision of activations."""
    return torch.autocast(torch.device(execution.device).type, torch.bfloat16, enabled=execution.precision == "bf16")
