"""What a network multiplies while it runs, operation by operation."""

import copy
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from rigl_nb.models.layers import matrices

OTHER = "other products"  # of activations, as in attention, or by weights that are in no layer of torch's
FUSED = ("mkldnn_rnn_layer", "_trilinear")  # layers that torch has no formula of: all weights, at every position
COPIES = ("clone", "_to_copy")  # of a weight into another layout or precision: still that weight
Example = tuple[int, ...] | Tensor | tuple[Tensor, ...] | Mapping[str, Tensor]


def layer_flops(model: nn.Module, example: Example) -> dict[str, float]:
    """Dense FLOPs per image of every layer of `layers.matrices`, by parameter name, and of `OTHER` products if any.

    `example` is one image's shape, (c, h, w), or an input of one: a tensor (of tokens, say), a tuple of tensors, or a
    dict by argument. A copy sees it once: the model, its statistics, its hooks and the random state stay untouched.
    Warns of layers that run without a product of their own weight, and of operations that torch does not know.
    """
    twin = _twin(model)
    names = {id(p): name for name, p in twin.named_parameters()}
    weights = {name: w for _, w in matrices(twin) if (name := names.get(id(w))) and not nn.parameter.is_lazy(w)}
    first = next(iter(twin.parameters()), torch.zeros(()))
    if isinstance(example, tuple) and not any(map(torch.is_tensor, example)):
        kind = next((p.dtype for p in twin.parameters() if p.is_floating_point()), None)
        example = torch.zeros(1, *example, dtype=kind)
    named = isinstance(example, Mapping)
    given = example if named else dict(enumerate((example,) if torch.is_tensor(example) else example))
    given = {key: value.to(first.device) if torch.is_tensor(value) else value for key, value in given.items()}
    products, fast = _Products(weights), torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # which hides its products in one operation
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=()), sdpa_kernel(SDPBackend.MATH), products:
            twin(**given) if named else twin(*given.values())
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    for what in sorted((products.seen - products.cost.keys()) | products.foreign):
        why = "no product of it was seen: it counts as dense, or not at all" if what in weights else "not counted"
        warnings.warn(f"{what}: {why}", stacklevel=2)
    return products.cost | {name: 0.0 for name in weights if name not in products.cost}  # those that only training uses


class _Products(TorchDispatchMode):
    """A mode in which every product is counted: FLOPs by the weight that it is with, by torch's own formulas."""

    def __init__(self, weights: Mapping[str, Tensor]):
        super().__init__()
        self.names = {w.untyped_storage().data_ptr(): name for name, w in weights.items()}  # views share the storage
        self.cost: dict[str, float] = {}
        self.seen: set[str] = set()
        self.foreign: set[str] = set()
        self.kept: list[Tensor] = []  # so that no activation takes the place of a weight's copy

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch imports its compiler, for seconds

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out, operation = func(*args, **(kwargs or {})), func.overloadpacket.__name__
        used = {self._name(value): value for value in args[operation in ("addmm", "baddbmm") :] if self._name(value)}
        self.seen |= used.keys()
        if operation in COPIES and used:
            self.names[out.untyped_storage().data_ptr()] = next(iter(used))
            self.kept.append(out)
        elif operation in FUSED:
            positions = args[0].numel() // args[0].shape[-1]
            for name, weight in used.items():
                self._add(name, 2.0 * weight.numel() * positions)
        elif formula := flop_registry.get(func.overloadpacket):
            self._add(next(iter(used), OTHER), float(formula(*args, **(kwargs or {}), out_val=out)))
        elif func.namespace not in ("aten", "prim", "prims"):
            self.foreign.add(str(func))
        return out

    def _name(self, value: object) -> str | None:
        return self.names.get(value.untyped_storage().data_ptr()) if torch.is_tensor(value) else None

    def _add(self, name: str, flops: float) -> None:
        self.cost[name] = self.cost.get(name, 0.0) + flops


def _twin(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode, without hooks, on the CPU; it shares what cannot be copied."""
    try:
        twin = copy.deepcopy(model)
        twin = twin.to_empty(device="cpu") if any(p.is_meta for p in twin.parameters()) else twin.to("cpu")
    except Exception:  # a lock, a tensor that autograd follows: no class names them all
        twin = _shallow(model)
    for module in twin.modules():
        module._forward_hooks, module._forward_pre_hooks = {}, {}  # the caller's own must not run
    return twin.eval()


def _shallow(module: nn.Module) -> nn.Module:
    twin = copy.copy(module)
    twin._buffers = {name: buffer if buffer is None else buffer.clone() for name, buffer in module._buffers.items()}
    twin._modules = {name: child if child is None else _shallow(child) for name, child in module._modules.items()}
    return twin
