"""Two of four on a GPU: linear layers whose weights torch stores for sparse tensor cores."""

import copy

import torch
from torch import nn

from rigl_nb.masking.patterns import TwoOfFour
from rigl_nb.sparsifier import Sparsifier

HALVES = (torch.bfloat16, torch.float16)
MULTIPLE = 16  # of rows and of columns, for cuSPARSELt


def semi_structured(model: nn.Module, sparsifier: Sparsifier) -> nn.Module:
    """A copy of a model under structure "2:4" whose linear layers torch computes by sparse tensor cores.

    Their weights become torch's `SparseSemiStructuredTensor`: half of the numbers, and two bits for each of them. That
    is for inference on an NVIDIA GPU with cuSPARSELt, in half precision: `model.to("cuda", torch.bfloat16)` first.
    Convolutions stay dense, and so do layers with a side that is no multiple of 16. Whether it is faster depends on
    sizes and batch: measure it, by `speed_up`. Raises ValueError for another structure, for a model that is not under
    the masks, where no layer fits, and where there is no such GPU.
    """
    names = fitting(model, sparsifier)
    if not (torch.cuda.is_available() and torch.backends.cusparselt.is_available()):
        raise ValueError("structure 2:4 is computed by an NVIDIA GPU with cuSPARSELt, and torch sees none here")
    if elsewhere := [name for name in names if not model.get_submodule(name).weight.is_cuda]:
        raise ValueError(f"layer {elsewhere[0]!r} is not on a GPU: take model.to('cuda') first")
    return converted(model, names)


def fitting(model: nn.Module, sparsifier: Sparsifier) -> list[str]:
    """The linear layers that can be stored so, by name; ValueError says what is in the way where there is none."""
    if not isinstance(sparsifier.structure, TwoOfFour):
        raise ValueError(f"structure {sparsifier.structure.name} is not allowed: make the Sparsifier with '2:4'")
    weights, found, why = dict(model.named_parameters()), [], {}
    for name, mask in sparsifier.masks.items():
        layer = name.removesuffix(".weight")
        if name not in weights or weights[name].shape != mask.shape:
            raise ValueError(f"model {type(model).__name__} is not the sparsifier's: it has no such layer {name!r}")
        if weights[name][~mask.to(weights[name].device)].any():
            raise ValueError(f"layer {name!r} is not under the sparsifier's mask: a weight that it leaves out is not 0")
        if reason := _obstacle(model.get_submodule(layer), weights[name]):
            why[layer] = reason
        else:
            found.append(layer)
    if not found:
        raise ValueError(f"no layer fits: {'; '.join(f'{layer!r} {reason}' for layer, reason in why.items())}")
    return found


def _obstacle(module: nn.Module, weight: torch.Tensor) -> str:
    """Why the weight cannot be stored so, or nothing."""
    if not isinstance(module, nn.Linear):
        return f"is no linear layer but {type(module).__name__}"
    if weight.dtype not in HALVES:
        return f"is in {str(weight.dtype).removeprefix('torch.')}: take model.to(torch.bfloat16)"
    if any(side % MULTIPLE for side in weight.shape):
        return f"has {weight.shape[0]}×{weight.shape[1]} weights, no multiples of {MULTIPLE}"
    return ""


def converted(model: nn.Module, names: list[str]) -> nn.Module:
    """A copy of the model in evaluation, these layers' weights stored by torch."""
    twin = copy.deepcopy(model).eval()
    for name in names:
        layer = twin.get_submodule(name)
        stored = torch.sparse.to_sparse_semi_structured(layer.weight.detach().contiguous())
        layer.weight = nn.Parameter(stored, requires_grad=False)
    return twin
