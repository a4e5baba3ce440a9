"""The small dense network inside a network with dead hidden channels: it computes the same, in less time."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rigl_nb.masking.channels import Channel
from rigl_nb.sparsifier import Sparsifier

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)  # channel by channel: others would see what is left out


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


def compact(model: nn.Module, sparsifier: Sparsifier) -> nn.Module:
    """An ordinary smaller module that computes what `model` does under the sparsifier's dead hidden channels.

    It keeps of each group the live rows of what computes the channels, their entries of norms, running statistics
    included, and the columns that are read. The sums are the same but for their order and for zeros: bit for bit where
    they are exact, to the last bits elsewhere; in training too, where dropout is 0. The report's Wide ResNets and
    bottleneck ResNets, and any other model whose widths are only in its layers; `model` itself stays as it is. Raises
    ValueError for masks of another structure, in which no channel is dead, and for a model that is not under them.
    """
    parts = kept(model, sparsifier)
    memo = {}
    for path, part in parts.items():
        module = model.get_submodule(path)
        for parameter in module.parameters(recurse=False):
            memo[id(parameter)] = nn.Parameter(part.of(parameter.detach()), requires_grad=parameter.requires_grad)
        for buffer in module.buffers(recurse=False):
            memo[id(buffer)] = part.of(buffer)
    small = copy.deepcopy(model, memo)
    for path in parts:
        _resize(small.get_submodule(path))
    return small


def kept(model: nn.Module, sparsifier: Sparsifier) -> dict[str, Part]:
    """What a compact model holds of each module that computes, normalises or reads hidden channels, by its name.

    The way back, to scatter what the small network has learnt, goes through the same indices.
    """
    structure = sparsifier.structure
    if not isinstance(structure, Channel):
        why = "its masks leave no whole channel out: make the Sparsifier with structure='channel'"
        raise ValueError(f"structure {structure.name} has no compact model: {why}")
    parts: dict[str, Part] = {}
    for group in structure.found:
        if (mask := sparsifier.masks.get(name := f"{group.reader}.weight")) is None:
            continue  # somebody gave masks, and none for this one
        weights = dict(model.named_parameters())
        if name not in weights or weights[name].shape != mask.shape:
            raise ValueError(f"model {type(model).__name__} is not the sparsifier's: it has no such layer {name!r}")
        if weights[name][~mask.to(weights[name].device)].any():
            raise ValueError(f"layer {name!r} is not under the sparsifier's mask: a dead channel is read")
        live = structure.live(name, mask)[0]
        for path in group.rows:
            parts[path] = Part(live.nonzero()[:, 0], parts.get(path, Part()).columns)
        columns = live.repeat_interleave(mask.shape[1] // len(live)).nonzero()[:, 0]
        parts[group.reader] = Part(parts.get(group.reader, Part()).rows, columns)
    return parts


def _resize(module: nn.Module) -> None:
    """Let a layer say of itself what its tensors are by now."""
    if isinstance(module, NORMS):
        module.num_features = len(next(t for t in (module.weight, module.running_mean) if t is not None))
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        module.out_channels, inputs = module.weight.shape[:2]
        module.groups = module.out_channels if module.groups > 1 else 1  # depthwise, or one group
        module.in_channels = inputs * module.groups
    elif any(True for _ in module.parameters(recurse=False)):
        raise ValueError(f"{type(module).__name__} has no compact model: it is not known to see each channel alone")
