"""Whose masks an optimizer's steps obey: one Sparsifier's, the last that was made for it."""

import weakref

from torch import nn
from torch.optim import Optimizer

from rigl_nb.masking.masked import Masked

_OWNERS = weakref.WeakKeyDictionary()  # optimizer -> the Sparsifier that was made for it last


def of(optimizer: Optimizer) -> Masked | None:
    """The optimizer's Sparsifier."""
    return _OWNERS.get(optimizer, lambda: None)()


def become(optimizer: Optimizer, sparsifier: Masked) -> None:
    """Make this one the optimizer's Sparsifier."""
    _OWNERS[optimizer] = weakref.ref(sparsifier)


def not_compact(model: nn.Module) -> None:
    """ValueError while a Sparsifier has made the model compact: its dead channels would be gone for good."""
    held = {id(parameter) for parameter in model.parameters()}
    for other in [made() for made in _OWNERS.values()]:
        if other is not None and any(id(one.tensor) in held for one in other.left_out):
            raise ValueError("another Sparsifier has made this model compact: call compact.expand() of that one first")
