"""The only stateful class: a model, its optimizer and the masks between them."""

import math

import torch
from torch import Tensor, nn

from rigl_nb import masks, methods, models, rng
from rigl_nb.distributions import DISTRIBUTIONS, counts
from rigl_nb.schedules import drop_fraction


class Sparsifier:
    """Keeps a model sparse while it trains: call `step()` in place of `optimizer.step()`.

    Every `delta_t` iterations before `t_end` an update of the mask replaces the optimizer's step; all other steps
    are the optimizer's, on masked gradients, so that inactive weights, gradients and buffers stay 0 (SGD with or
    without nesterov, Adam). `init` is Random, ER or ERK; under Random the first layer stays dense.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        method: str = "RigL",
        init: str | None = "ERK",
        density: float = 0.1,
        alpha: float = 0.3,
        delta_t: int = 100,
        t_end: int | None = None,
        seed: int = 0,
    ):
        self.method = methods.get(method)
        self.optimizer = optimizer
        self.alpha, self.delta_t, self.t_end = alpha, delta_t, t_end
        self.iteration = 0
        if self.method.growth:
            _check_updates(method, alpha, delta_t, t_end)
        self.weights: dict[str, nn.Parameter] = {}
        self.masks: dict[str, Tensor] = {}
        self.active: dict[str, int] = {}  # known to the host, so that no step waits for the device
        if self.method.masked:
            if init not in DISTRIBUTIONS:
                raise ValueError(f"init {init!r} is unknown: allowed are {', '.join(DISTRIBUTIONS)}")
            self.weights = models.maskable(model, first_layer=init != "Random")
            shapes = {name: tuple(weight.shape) for name, weight in self.weights.items()}
            self.active = counts(shapes, DISTRIBUTIONS[init](shapes, density))
            draw = rng.numpy_generator(seed, "masks")
            for name, weight in self.weights.items():
                self.masks[name] = masks.random_mask(shapes[name], self.active[name], draw).to(weight.device)
        device = next(model.parameters()).device
        self.generator = rng.torch_generator(seed, "growth", device=device)
        self.apply()

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
        """Take the optimizer's step on masked gradients."""
        self.mask_gradients()
        self.optimizer.step()

    def mask_gradients(self) -> None:
        """Set the gradients of inactive weights to 0, where a product would turn inf into NaN."""
        for name, weight in self.weights.items():
            if weight.grad is not None:
                weight.grad.masked_fill_(~self.masks[name], 0)

    @property
    def update_due(self) -> bool:
        """Whether this iteration updates the masks: t = ΔT−1, 2ΔT−1, … < T_end."""
        return (
            self.method.growth is not None
            and self.iteration < self.t_end
            and self.iteration % self.delta_t == self.delta_t - 1
        )

    @property
    def drop_fraction(self) -> float:
        """The share of connections that an update at this iteration would replace; 0 where masks are fixed."""
        return drop_fraction(self.iteration, self.alpha, self.t_end) if self.method.growth else 0.0

    @torch.no_grad()
    def update(self) -> None:
        """Replace connections: drop by magnitude, grow by the method's score. Counts per layer stay as they are."""
        for name, weight in self.weights.items():
            if weight.grad is None:
                raise ValueError(f"layer {name!r} has no gradient: call backward() before step()")
        for name, weight in self.weights.items():
            mask = self.masks[name]
            score = self.method.growth(weight.grad, self.generator)
            count = math.floor(self.drop_fraction * self.active[name])
            buffers = [v for v in self.optimizer.state[weight].values() if _like(v, weight)]
            new, values, carried = masks.rewire(weight, mask, score, count, buffers)
            mask.copy_(new)
            weight.copy_(values)
            weight.grad.masked_fill_(~new, 0)
            for buffer, value in zip(buffers, carried, strict=True):
                buffer.copy_(value)

    def counts(self) -> dict[str, int]:
        """Active weights per masked layer."""
        return dict(self.active)

    def densities(self) -> dict[str, float]:
        """Active share per masked layer; layers that are not named are dense."""
        return {name: self.active[name] / mask.numel() for name, mask in self.masks.items()}

    def state_dict(self) -> dict:
        """Masks (boolean, by parameter name), the iteration and the state of random growth."""
        return {
            "masks": dict(self.masks),
            "iteration": self.iteration,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Take over what `state_dict` gave; ValueError when the layers are not the same."""
        if {k: v.shape for k, v in state["masks"].items()} != {k: v.shape for k, v in self.masks.items()}:
            raise ValueError(f"masks of {', '.join(state['masks'])} do not fit layers {', '.join(self.masks)}")
        for name, mask in state["masks"].items():
            self.masks[name].copy_(mask)
            self.active[name] = int(mask.sum())
        self.iteration = state["iteration"]
        self.generator.set_state(state["generator"])


def _check_updates(method: str, alpha: float, delta_t: int, t_end: int | None) -> None:
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha {alpha!r} is not allowed: it must be between 0 and 1")
    if not isinstance(delta_t, int) or delta_t < 1:
        raise ValueError(f"delta_t {delta_t!r} is not allowed: it must be a whole number of at least 1")
    if t_end is None or t_end < 0:
        raise ValueError(
            f"t_end {t_end!r} is not allowed: method {method} needs the iteration at which updates end, "
            "0.75 of all iterations in the paper"
        )


def _like(value: object, weight: Tensor) -> bool:
    return torch.is_tensor(value) and value.shape == weight.shape
