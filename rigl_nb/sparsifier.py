"""The only stateful class: a model, its optimizer and the masks between them."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from rigl_nb import checks, masks, methods, models, rng
from rigl_nb.distributions import DISTRIBUTIONS, counts
from rigl_nb.schedules import drop_fraction, pruning_sparsity


class Sparsifier:
    """Keeps a model sparse while it trains: call `step()` in place of `optimizer.step()`.

    Every `delta_t` iterations before `t_end` an update of the masks replaces the optimizer's step. All other steps are
    the optimizer's (SGD, Adam, and others that treat each weight alone), on masked gradients, so that inactive weights,
    gradients and buffers stay 0; under SNFS momentum stays dense. `init` is Random, ER or ERK, a function like those of
    `distributions`, or masks by name. Dense stay: the first layer under Random and Pruning, frozen parameters, and what
    `exclude` names, layers or modules. Pruning begins at `prune_start` and reaches
    `density` with the first update from `t_end` on.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        method: str = "RigL",
        init: str | Callable | Mapping[str, Tensor] | None = "ERK",
        density: float = 0.1,
        alpha: float = 0.3,
        delta_t: int = 100,
        t_end: int | None = None,
        seed: int = 0,
        prune_start: int = 0,
        exclude: Sequence[str] = (),
    ):
        self.method, self.optimizer, self.iteration = methods.get(method), optimizer, 0
        self.density, self.alpha, self.delta_t = density, alpha, delta_t
        self.t_end, self.prune_start = t_end, prune_start
        self._check()
        self.weights: dict[str, nn.Parameter] = {}
        self.masks: dict[str, Tensor] = {}
        self.active: dict[str, int] = {}  # known to the host, so that no step waits for the device
        if self.method.masked:
            dense_first = self.method.start == "dense" or (isinstance(init, str) and init == "Random")
            self.weights = models.maskable(model, not dense_first, exclude)
            self._start(init, rng.numpy_generator(seed, "masks"))
        self.generator = rng.torch_generator(seed, "growth", device=next(model.parameters()).device)
        self.apply()

    def _check(self) -> None:
        """Refuse what would only fail, or mislead, in the middle of a training."""
        groups = self.optimizer.param_groups
        if self.method.moves:
            checks.within("alpha", self.alpha, 0, 1, low_closed=True, high_closed=True)
            checks.at_least("delta_t", self.delta_t, 1)
            if self.t_end is None or self.t_end < 0:
                what = "the iteration at which updates end, 0.75 of all in the paper"
                raise ValueError(f"t_end {self.t_end!r} is not allowed: method {self.method.name} needs {what}")
        if self.method.narrow and self.density != 1:
            raise ValueError(f"density {self.density} is not allowed: build the model with √density times the channels")
        if self.method.start == "dense":
            checks.within("density", self.density, 0, 1, high_closed=True)
            checks.at_least("prune_start", self.prune_start, 0)
            checks.within("prune_start", self.prune_start, 0, self.t_end, low_closed=True, high_closed=True)
        if self.method.needs_momentum and not all(group.get("momentum") or "betas" in group for group in groups):
            raise ValueError(f"method {self.method.name} ranks by momentum: give the optimizer some (momentum=0.9)")

    def _start(self, init: str | Callable | Mapping[str, Tensor] | None, draw) -> None:
        """Set the first masks."""
        shapes = {name: tuple(weight.shape) for name, weight in self.weights.items()}
        if isinstance(init, Mapping):
            fit = {n for n, mask in init.items() if shapes.get(n) == tuple(mask.shape) and mask.dtype == torch.bool}
            if len(fit) < max(len(init), 1):
                what = f"the mask {min(init.keys() - fit)!r} fits no layer" if init else "init {} has no mask"
                raise ValueError(f"{what}: the layers are {', '.join(shapes)}; masks are boolean, of a weight's shape")
            self.weights = {name: self.weights[name] for name in shapes if name in init}
            first = {name: init[name].clone() for name in self.weights}
        elif self.method.start == "dense":
            first = {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()}
        elif self.method.start == "parent":
            raise ValueError(f"method {self.method.name} starts from masks: give those of a finished run as init")
        else:
            if not callable(init):
                checks.choice("init", init, DISTRIBUTIONS)
            first = self.drawn(shapes, DISTRIBUTIONS.get(init, init)(shapes, self.density), draw)
        owned = {id(parameter) for group in self.optimizer.param_groups for parameter in group["params"]}
        for name, weight in self.weights.items():
            if id(weight) not in owned:
                raise ValueError(f"layer {name!r} is not in the optimizer: add its parameters, or exclude the layer")
            self.active[name] = int(first[name].sum())
            self.masks[name] = first[name].to(weight.device)

    def drawn(self, shapes: dict[str, tuple[int, ...]], densities: dict[str, float], draw) -> dict[str, Tensor]:
        """The first masks, of exact counts."""
        active = counts(shapes, densities)
        return {name: masks.random_mask(shape, active[name], draw) for name, shape in shapes.items()}

    @torch.no_grad()
    def apply(self) -> None:
        """Set inactive weights to 0."""
        for name, weight in self.weights.items():
            weight.masked_fill_(~self.masks[name], 0)

    def step(self) -> bool:
        """Update the masks when that is due, else take the optimizer's step; True after an update.

        Gradients must be those of the current batch, dense as autograd leaves them.
        """
        due = self.update_due
        if due:
            self.update()
        else:
            self.descend()
        self.iteration += 1
        return due

    def descend(self) -> None:
        """Take the optimizer's step: on masked gradients, or on dense ones that leave inactive weights at 0."""
        if not self.method.dense_momentum:
            self.mask_gradients()
        self.optimizer.step()
        if self.method.dense_momentum:
            self.apply()
            self.mask_gradients()

    def mask_gradients(self) -> None:
        """Set the gradients of inactive weights to 0, where a product would turn inf into NaN."""
        for name, weight in self.weights.items():
            if weight.grad is not None:
                weight.grad.masked_fill_(~self.masks[name], 0)

    @property
    def update_due(self) -> bool:
        """Whether this iteration updates the masks: t = ΔT−1, 2ΔT−1, … < T_end; under Pruning once more after it."""
        if not self.method.moves or self.iteration % self.delta_t != self.delta_t - 1:
            return False
        if self.method.start == "dense":
            return self.prune_start <= self.iteration < self.t_end + self.delta_t
        return self.iteration < self.t_end

    @property
    def drop_fraction(self) -> float:
        """The share of connections that an update at this iteration would replace; 0 where nothing grows."""
        return drop_fraction(self.iteration, self.alpha, self.t_end) if self.method.growth else 0.0

    @torch.no_grad()
    def update(self) -> None:
        """Move connections: the method says how many and which."""
        for name, weight in self.weights.items():
            if weight.grad is None:
                raise ValueError(f"layer {name!r} has no gradient: call backward() before step()")
        if self.method.start == "dense":
            self._prune()
        else:
            self._rewire()

    def _rewire(self) -> None:
        """Drop a share of every layer by magnitude; grow by the method's score as many, or as many as it shares out."""
        layers = {
            name: methods.Layer(weight, weight.grad, self.masks[name], self.optimizer.state[weight])
            for name, weight in self.weights.items()
        }
        dropped = self.dropped()
        grown = self.grown(layers, dropped)
        for name, layer in layers.items():
            score = self.method.growth(layer, self.generator)
            kept = masks.drop(layer.weight, layer.mask, dropped[name])
            self._move(name, masks.grow(score, kept, grown[name]))
            self.active[name] += grown[name] - dropped[name]

    def dropped(self) -> dict[str, int]:
        """How many connections an update at this iteration drops in each layer."""
        return {name: math.floor(self.drop_fraction * active) for name, active in self.active.items()}

    def grown(self, layers: dict[str, methods.Layer], dropped: dict[str, int]) -> dict[str, int]:
        """How many each layer grows: its own, or a share by the method's statistic, its mean over active entries."""
        if not self.method.share:
            return dropped
        sums = [torch.where(la.mask, self.method.share(la, self.generator), 0).sum() for la in layers.values()]
        totals = torch.stack(sums).float().nan_to_num().tolist()  # finite, and their sum too
        statistics = [total / max(self.active[name], 1) for name, total in zip(layers, totals, strict=True)]
        room = [layer.mask.numel() - self.active[name] + dropped[name] for name, layer in layers.items()]
        return dict(zip(layers, self.shares(list(dropped.values()), statistics, room), strict=True))

    def shares(self, dropped: Sequence[int], statistics: Sequence[float], room: Sequence[int]) -> list[int]:
        """The dropped total, shared by the statistics."""
        return masks.redistribute(dropped, statistics, room)

    def _prune(self) -> None:
        """Keep the largest weights of all layers together, as many as the schedule leaves."""
        size = sum(mask.numel() for mask in self.masks.values())
        sparsity = pruning_sparsity(self.iteration, self.prune_start, self.t_end, 1 - self.density)
        keep = math.floor(round((1 - sparsity) * size, 6) + 0.5)
        new = masks.global_magnitude(list(self.weights.values()), list(self.masks.values()), keep)
        self.active = dict(zip(self.masks, torch.stack([mask.sum() for mask in new]).tolist(), strict=True))
        for name, mask in zip(self.masks, new, strict=True):
            self._move(name, mask)

    def _move(self, name: str, new: Tensor) -> None:
        """Make `new` the layer's mask, and carry the weight and, unless momentum is dense, the optimizer's buffers."""
        weight, mask = self.weights[name], self.masks[name]
        state = () if self.method.dense_momentum else self.optimizer.state[weight].values()
        buffers = [values for values in state if torch.is_tensor(values) and values.shape == weight.shape]
        for values in (weight, *buffers):
            values.copy_(masks.carry(values, mask, new))
        weight.grad.masked_fill_(~new, 0)
        mask.copy_(new)

    def counts(self) -> dict[str, int]:
        """Active weights per masked layer."""
        return dict(self.active)

    def densities(self) -> dict[str, float]:
        """Active share per masked layer; layers that are not named are dense."""
        return {name: self.active[name] / mask.numel() for name, mask in self.masks.items()}

    def state_dict(self) -> dict:
        """Masks (boolean, by parameter name), the iteration and the state of random growth."""
        return {"masks": dict(self.masks), "iteration": self.iteration, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict) -> None:
        """Take over what `state_dict` gave; ValueError when the layers are not the same."""
        if {k: v.shape for k, v in state["masks"].items()} != {k: v.shape for k, v in self.masks.items()}:
            raise ValueError(f"masks of {', '.join(state['masks'])} do not fit layers {', '.join(self.masks)}")
        for name, mask in state["masks"].items():
            self.masks[name].copy_(mask)
            self.active[name] = int(mask.sum())
        self.iteration = state["iteration"]
        self.generator.set_state(state["generator"])
