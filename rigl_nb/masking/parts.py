"""What of a tensor a compact model holds, and the tensor as it was with all channels."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Part:
    """What stays of a module's tensors: rows and columns by index, None where all do."""

    rows: Tensor | None = None
    columns: Tensor | None = None  # blocks of columns where a flattening lies between: indices of single ones

    def of(self, values: Tensor) -> Tensor:
        """The part of a parameter or buffer; one with no dimension counts batches, say, and is taken whole."""
        found = values
        if self.rows is not None and found.ndim:
            found = found.index_select(0, self.rows.to(values.device))
        if self.columns is not None and found.ndim > 1:  # a bias has no columns
            found = found.index_select(1, self.columns.to(values.device))
        if found.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
            found = found.contiguous(memory_format=torch.channels_last)
        return found.clone() if found is values else found

    def into(self, whole: Tensor, values: Tensor) -> None:
        """Write values of the part to where `of` takes them from."""
        index = [slice(None) if side is None else side.to(whole.device) for side in (self.rows, self.columns)]
        if whole.ndim > 1 and None not in (self.rows, self.columns):
            index[0] = index[0][:, None]
        whole[tuple(index[: whole.ndim])] = values

    def cuts(self, values: Tensor) -> bool:
        """Whether a parameter or buffer has rows or columns of which some stay out."""
        return values.ndim > 0 and (self.rows is not None or (self.columns is not None and values.ndim > 1))


@dataclass(frozen=True)
class Whole:
    """A parameter or buffer of a model that is compact for now, as it was with all channels."""

    tensor: Tensor  # the model's, which holds the part
    part: Part
    data: Tensor
    kept: Mapping[str, Tensor]  # by the optimizer, of every entry of it
    starts: Mapping[str, float]  # what such a buffer starts from
    module: nn.Module
    sizes: Mapping[str, int]  # that the module told
