"""The class that people use: masks on a model, made, kept and moved while an optimizer trains it."""

import warnings
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rigl_nb import checks, methods, rng
from rigl_nb.distributions import DISTRIBUTIONS
from rigl_nb.masking import optimizers, owners, patterns, states
from rigl_nb.masking.masked import fitting
from rigl_nb.masking.moving import Moving
from rigl_nb.masking.structures import Structure
from rigl_nb.models.layers import excluded, maskable, unmasked


class Sparsifier(Moving):
    """Keeps a model sparse while it trains: call `step()` in place of `optimizer.step()`, or `attach()` it once.

    Every `delta_t` iterations before `t_end` an update of the masks replaces the optimizer's step. All other steps are
    the optimizer's, on masked gradients; after each, inactive weights are 0 and their buffers as the optimizer starts
    them, whatever was trained or loaded before. Under SNFS momentum stays dense. `init` is Random, ER or ERK, a
    function like those of `distributions`, or masks by name. With another `structure` than single weights, kernels or
    channels move, say (`masking.patterns`). Dense stay: the first layer under Random and Pruning, frozen parameters,
    and what `exclude` names, layers or modules. Pruning begins at `prune_start` and reaches `density` with the first
    update from `t_end` on. A layer without a gradient keeps its mask.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        method: str = "RigL",
        init: str | Callable | Mapping[str, Tensor] | None = "ERK",
        density: float = 0.1,
        alpha: float = 0.3,
        delta_t: int = 100,
        t_end: int | None = None,
        seed: int = 0,
        prune_start: int = 0,
        exclude: Sequence[str] = (),
        structure: str | Structure = "weight",
    ):
        if not isinstance(model, nn.Module):
            raise ValueError(f"model {type(model).__name__} is not allowed: give the nn.Module, then its optimizer")
        checks.at_least("seed", seed, 0)
        owners.not_compact(model)
        exclude = excluded(exclude)
        self.method, self.iteration = methods.get(method), 0
        self.density, self.alpha, self.delta_t = density, alpha, delta_t
        self.t_end, self.prune_start = t_end, prune_start
        self.check()
        self.structure, self.carry = patterns.get(structure), {}
        self.structure.check(self.method, init, density)
        weights, first = {}, {}
        if self.method.masked:
            dense_first = self.method.start == "dense" or (isinstance(init, str) and init == "Random")
            weights = maskable(model, not (dense_first and self.structure.dense_first), exclude)
            if not weights:
                (first_layer, *_) = (*maskable(model, exclude=exclude), "")
                why = f": {first_layer} is the first layer, dense under Random and Pruning: give masks, or take ERK"
                raise ValueError(f"no layer to mask{why if first_layer else ': none is trained and not excluded'}")
            self.structure = self.structure.on(model, weights)
            weights = self.structure.covered(weights)
            first = self._first(init, weights, rng.numpy_generator(seed, "masks"))
            if dense := unmasked(model, exclude):
                what = "to exclude them says that this is meant"
                warnings.warn(f"{', '.join(dense)} are in no layer of torch's and stay dense: {what}", stacklevel=2)
        rows = self.structure.rows(model)
        super().__init__(weights, first, optimizers.plain(optimizer), self.method.dense_momentum, self.structure, rows)
        momenta = all(starts is None or methods.ranks_momentum(starts) for starts in self.starts.values())
        if self.method.needs_momentum and not momenta:
            way = f"{type(self.optimizer).__name__} has none here; take SGD with momentum=0.9, or Adam"
            raise ValueError(f"method {method} ranks by momentum: {way}")
        if not isinstance(init, Mapping) and (apart := self.apart()):
            which = f"{', '.join(apart[:3])}{f' and {len(apart) - 3} more' if apart[3:] else ''}"
            ways = "make the Sparsifier before you load a checkpoint, or give its masks as init"
            warnings.warn(f"{which} are sparse already, with other masks than these: {ways}", stacklevel=2)
        if empty := [name for name, active in self.active.items() if not active]:
            why = "no signal passes them. Take a higher density, another init, or exclude them"
            warnings.warn(f"layers {', '.join(empty)} have no active weight: {why}", stacklevel=2)
        device = next(iter(self.weights.values()), next(model.parameters(), torch.empty(0))).device
        self.generator = rng.torch_generator(seed, "growth", device=device)
        self.told, self._hooks, self._aside = set(), (), []
        self._own()
        self.apply()

    def _first(self, init: str | Callable | Mapping[str, Tensor] | None, weights: Mapping, draw) -> dict[str, Tensor]:
        """The first masks."""
        shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
        if isinstance(init, Mapping):
            return self._fitting(init, weights)
        if self.method.start == "dense":
            return {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()}
        if self.method.start == "parent":
            raise ValueError(f"method {self.method.name} starts from masks: give those of a finished run as init")
        if not callable(init):
            checks.choice("init", init, DISTRIBUTIONS)
        densities = self.structure.densities(DISTRIBUTIONS.get(init, init), shapes, self.density)
        return self.drawn(shapes, densities, draw)

    def _fitting(self, given: Mapping[str, Tensor], weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
        """Masks that somebody gives; ValueError where they fit no weight, or do not have the structure."""
        found = fitting(given, weights)
        self.structure.fit(found)
        return found

    def drawn(self, shapes: dict[str, tuple[int, ...]], densities: dict[str, float], draw) -> dict[str, Tensor]:
        """The first masks, of exact counts."""
        return self.structure.draw(shapes, densities, draw)

    def step(self, closure: Callable[[], object] | None = None) -> bool:
        """Update the masks when that is due, else take the optimizer's step; True after an update.

        Gradients must be those of the current batch, dense as autograd leaves them; a `closure` computes them first.
        An `optimizer.step()` beside it, unless attached, is no iteration: the next step masks what it revived.
        """
        if closure is not None:
            with torch.enable_grad():
                closure()
        if not self._hooks:
            return self.advance(self.descend)
        due = self.update_due
        self.optimizer.step()
        return due

    def advance(self, descend: Callable[[], None]) -> bool:
        """One iteration: an update of the masks when that is due, else `descend`; True after an update."""
        if not optimizers.parameters(self.optimizer):
            raise ValueError("there is no gradient: call backward() before step()")
        due = self.update_due
        self._ready()
        if due:
            self.update()
        else:
            descend()
        self.iteration += 1
        return due

    def descend(self) -> None:
        """Take the optimizer's step: on masked gradients, or on dense ones that leave inactive weights at 0."""
        self.hold()
        self.optimizer.step()
        self._settle()

    def _settle(self) -> None:
        """After the optimizer's step."""
        self._mask()
        if self.method.dense_momentum:
            self.mask_gradients()

    def attach(self) -> "Sparsifier":
        """Make every `optimizer.step()` do what `step()` does, in any loop or trainer; `detach()` ends it.

        A step without any gradient is no iteration, nor one that is skipped, as torch's GradScaler does after an
        overflow. The optimizer's state dict carries `state_dict()` along: resume it after the model. A copy or a pickle
        of the optimizer is without masks: copy the Sparsifier together with it.
        """
        if not self._hooks:
            self._own()
            state = optimizers.carried(self.optimizer, self.state_dict, self.load_state_dict)
            self._hooks = (*optimizers.around(self.optimizer, self._before, self._after), *state)
        return self

    def detach(self) -> None:
        """Leave the optimizer alone again."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = ()

    def _before(self) -> None:
        """Before a step of the optimizer; in an update's iteration it finds no gradient, and does nothing."""
        self._ready()
        moved = optimizers.parameters(self.optimizer)
        self._counts = bool(moved) and not optimizers.overflowed(self.optimizer)
        if self.update_due and self._counts:
            optimizers.unscale(self.optimizer)
            self.update()
            self._aside = [(parameter, parameter.grad) for parameter in moved]
            for parameter in moved:  # some classes' zero_grad leaves zeros, which are a step
                parameter.grad = None
            return
        self.hold()

    def _after(self) -> None:
        for parameter, gradient in self._aside:
            parameter.grad = gradient
        self._aside = []
        self._settle()
        self.iteration += self._counts

    def _own(self) -> None:
        """Become the optimizer's only Sparsifier."""
        other = owners.of(self.optimizer)
        if other is not None and other is not self and other._hooks:
            raise ValueError("another Sparsifier is attached to this optimizer: detach() it first")
        owners.become(self.optimizer, self)

    def _ready(self) -> None:
        """What a step needs: to be the optimizer's only Sparsifier, and masks where the model is by now."""
        if owners.of(self.optimizer) is not self:
            raise ValueError("another Sparsifier was made for this optimizer since: step with that one")
        if self.update_due:
            self.whole("an update of the masks")
        if self.follow():
            device = next(iter(self.weights.values())).device
            self.generator = rng.on(device).manual_seed(self.generator.initial_seed())

    def state_dict(self) -> dict:
        """Masks (boolean, by parameter name), the iteration and the state of random growth; fractions carried on.

        ValueError while `compact.resize` keeps the model small: its own state would lack the dead channels.
        """
        self.whole("a state")
        masks = {name: mask.clone() for name, mask in self.masks.items()}  # the next update writes in these
        state = {"masks": masks, "iteration": self.iteration, "generator": self.generator.get_state()}
        return state | ({"carry": dict(self.carry)} if self.structure.carries else {})

    def load_state_dict(self, state: Mapping) -> None:
        """Take over what `state_dict` gave, after the model's own state; ValueError, and no change, if it does not fit.

        Where it comes from another kind of device, random growth goes on from numbers of its own.
        """
        states.check(state, self.masks)
        self.whole("a state")
        found = self._fitting(state["masks"], self.weights) if self.masks else {}
        generator = states.generator(state, self.generator)
        there, here = sum(int(mask.sum()) for mask in found.values()), sum(self.active.values())
        if there != here and self.method.start != "dense":
            way = f"density {self.density:g} is not what it was made with"
            warnings.warn(f"the state keeps {there} weights active, this Sparsifier {here}: {way}", stacklevel=2)
        self.iteration, self.generator = int(state["iteration"]), generator
        self.carry = dict(state.get("carry", {}))
        self.load(found)

    def __repr__(self) -> str:
        layers, t = f"{len(self.masks)} layers", f"iteration {self.iteration}"
        return f"Sparsifier({self.method.name}, {self.structure.name}, density {self.density:g}, {layers}, {t})"

    def __getstate__(self) -> dict:
        return vars(self) | {"_hooks": bool(self._hooks)}  # a copy of an optimizer has no hooks

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state, _hooks=())
        self._own()
        if state["_hooks"]:
            self.attach()
