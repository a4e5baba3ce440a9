"""Weights under masks, in a model that an optimizer trains: what is inactive is 0, and is kept so."""

import warnings
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rigl_nb import masks
from rigl_nb.masking import optimizers
from rigl_nb.masking.resting import Resting
from rigl_nb.masking.structures import Structure

WAY = "call compact.resize() before each forward pass, or compact.expand()"


class Masked:
    """Masks by parameter name, the weights that they are on, and the buffers that an optimizer keeps of those.

    `dense` buffers are left alone, as SNFS needs. `rows` of other modules rest with the `structure`'s units. Raises
    ValueError for a weight that the optimizer lacks.
    """

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        first: Mapping[str, Tensor],
        optimizer: Optimizer,
        dense: bool,
        structure: Structure,
        rows: Mapping[str, Sequence[nn.Module]],
    ):
        self.optimizer, self.dense, self.structure = optimizer, dense, structure
        self.resting = Resting(optimizer, {name: rows[name] for name in rows if name in first})
        self.weights = {name: weight for name, weight in weights.items() if name in first}
        self.masks: dict[str, Tensor] = {}
        self.inactive: dict[str, Tensor] = {}  # the inverted masks, which every iteration needs
        self.active: dict[str, int] = {}  # known to the host, so that no step waits for the device
        self.starts: dict[str, dict[str, float | None] | None] = {}  # of the optimizer's buffers, by layer
        self.left_out: tuple = ()  # what `compact.resize` took from the model; while it has, nothing is under a mask
        group = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
        for name, weight in self.weights.items():
            if id(weight) not in group:
                raise ValueError(f"layer {name!r} is not in the optimizer: add its parameters, or exclude the layer")
            self.starts[name] = optimizers.starts(optimizer, group[id(weight)], weight)
            self.active[name] = int(first[name].sum())
            self.masks[name] = first[name].to(weight.device, copy=True)
            self.inactive[name] = ~self.masks[name]
            self._rest(name)

    def apply(self) -> None:
        """Set inactive weights to 0, and the optimizer's buffers of them to the value that it starts them from.

        Call it after weights were loaded or written: running statistics of dead channels count as they are now, too.
        """
        if not self.left_out:
            self.resting.take()
            self._mask()

    def apart(self) -> list[str]:
        """Layers that somebody made sparse before, by other masks: these ones leave out weights that are not 0."""
        found = []
        for name, weight in self.weights.items():
            zeros = weight == 0
            if int(zeros.sum()) > weight.numel() / 100 and (~zeros & self.inactive[name]).any():
                found.append(name)  # no initialisation draws so many zeros
        return found

    @torch.no_grad()
    def _mask(self) -> None:
        """Make everything inactive what it was."""
        if self.left_out:
            return
        for name, weight in self.weights.items():
            inactive = self.inactive[name]
            weight.masked_fill_(inactive, 0)
            for buffer, start in self.buffers(name):
                buffer.masked_fill_(inactive, start)
        self.resting.restore()

    def mask_gradients(self) -> None:
        """Set the gradients of inactive weights to 0, where a product would turn inf into NaN."""
        for name, weight in self.weights.items() if not self.left_out else ():
            if weight.grad is not None:
                weight.grad.masked_fill_(self.inactive[name], 0)

    def hold(self) -> None:
        """Get ready for the optimizer's step: mask the gradients, unless dense ones go on, and remember what rests."""
        if not self.dense:
            self.mask_gradients()
        if not self.left_out:
            self.resting.hold()

    def whole(self, what: str) -> None:
        """Refuse what needs all channels while the model is compact."""
        if self.left_out:
            raise ValueError(f"the model is compact, and {what} needs it whole: {WAY}")

    def buffers(self, name: str) -> Iterator[tuple[Tensor, float]]:
        """What the optimizer keeps of every entry of a weight, unless it stays dense; and what it starts from."""
        if not self.dense:
            yield from optimizers.buffers(self.optimizer, self.weights[name], self.starts[name])

    def move(self, name: str, new: Tensor, active: int) -> None:
        """Make `new` the layer's mask, and carry weight, gradient and buffers."""
        weight, mask = self.weights[name], self.masks[name]
        for values, start in ((weight, 0.0), *self.buffers(name)):
            values.copy_(masks.carry(values, mask, new, start))
        self._become(name, new, active)
        weight.grad.masked_fill_(self.inactive[name], 0)

    def _become(self, name: str, new: Tensor, active: int) -> None:
        """Write a layer's mask in place: a graph reads it there."""
        self.masks[name].copy_(new)
        torch.logical_not(self.masks[name], out=self.inactive[name])
        self.active[name] = active
        self._rest(name)

    def _rest(self, name: str) -> None:
        if name in self.resting:
            self.resting.wake(name, self.structure.live(name, self.masks[name])[0])

    def follow(self) -> bool:
        """Move the masks to where their weights are by now; whether that was needed."""
        away = [name for name, weight in self.weights.items() if self.masks[name].device != weight.device]
        for name in away:
            for kept in (self.masks, self.inactive):
                kept[name] = kept[name].to(self.weights[name].device)
            self.resting.follow(name, self.weights[name].device)
        return bool(away)

    def counts(self) -> dict[str, int]:
        """Active weights per masked layer; with channels those of live ones, in what computes and what reads them."""
        return self.structure.counts(self.active)

    def densities(self) -> dict[str, float]:
        """Active share per masked layer of the whole model, also while it is compact; others are dense."""
        sizes = {name: mask.numel() for name, mask in self.masks.items()} | self.structure.sizes
        return {name: count / sizes[name] for name, count in self.counts().items()}

    def load(self, found: Mapping[str, Tensor]) -> None:
        """Take over masks of `fitting`; warns where they have no weights to go with."""
        for name, mask in found.items():
            self._become(name, mask, int(mask.sum()))
        self.apply()
        idle = sum(int((self.weights[name][mask] == 0).sum()) for name, mask in self.masks.items())
        if 2 * idle > sum(self.active.values()):
            why = "load the model's weights first; to start from masks alone, give them as init"
            warnings.warn(f"{idle} of {sum(self.active.values())} active weights are 0: {why}", stacklevel=3)


def fitting(given: Mapping[str, Tensor], weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Masks that somebody gives, as tensors; ValueError for one that fits no weight."""
    if isinstance(given.get("masks"), Mapping):
        raise ValueError("a whole state is no mapping of masks: give its ['masks']")
    found = {}
    for name, mask in given.items():
        try:
            found[name] = torch.as_tensor(mask)
        except (RuntimeError, TypeError, ValueError):
            raise ValueError(f"the mask {name!r} is a {type(mask).__name__}: masks are boolean tensors") from None
    shapes = {name: weight.shape for name, weight in weights.items()}
    fit = {name for name, mask in found.items() if shapes.get(name) == mask.shape and mask.dtype == torch.bool}
    if len(fit) < max(len(found), 1):
        what = f"the mask {min(found.keys() - fit)!r} fits no layer" if found else "init {} has no mask"
        raise ValueError(f"{what}: the layers are {', '.join(shapes)}; masks are boolean, of a weight's shape")
    return found
