"""Theoretical cost: FLOPs of inference and training from layer shapes and densities (Evci et al. 2020, appendix H).

A multiply-add is two operations. Products count, those of layers and all others; biases, normalisation, additions,
pooling and softmax do not.
"""

import copy
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from rigl_nb.layers import matrices

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
    """What a network multiplies while it runs: FLOPs by weight, by torch's own formulas."""

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


def inference_flops(model: nn.Module, example: Example, densities: dict[str, float] | None = None) -> float:
    """FLOPs per image: Σ over layers of 2·MAC·density; a layer that `densities` does not name is dense."""
    return weighted(layer_flops(model, example), densities or {})


def weighted(cost: dict[str, float], densities: dict[str, float]) -> float:
    """The cost of `layer_flops` at the given densities; a layer that is not named is dense."""
    if unknown := set(densities) - set(cost):
        raise ValueError(f"no layer is named {sorted(unknown)[0]!r}: the layers are {', '.join(cost)}")
    return sum(flops * densities.get(name, 1.0) for name, flops in cost.items())


def step_fraction(inference_fraction: float, dense_gradients: bool) -> float:
    """Cost of one training iteration as a fraction of the dense one's (forward, two backward products).

    With dense weight gradients (an update of RigL) one of the three products is dense: (2f + 1)/3; else f.
    """
    return (2 * inference_fraction + 1) / 3 if dense_gradients else inference_fraction


def train_fraction(
    method: str, inference_fraction: float, delta_t: int = 100, mean_fraction: float | None = None
) -> float:
    """Closed formula of training FLOPs as a fraction of dense training (the report's tables; Evci et al., appendix H).

    Static, SET: f. RigL, RigL-SG, RigL-SM: f + (1 − f)/(3(ΔT + 1)), one iteration in ΔT + 1 with dense gradients.
    SNFS: (2f + 1)/3. Pruning: the mean of f over time. Lottery: Pruning's and f once more. `mean_fraction` is f's mean
    over time where it moves; without it f stands for it, but for Pruning and Lottery.
    """
    f = inference_fraction
    mean = f if mean_fraction is None else mean_fraction
    if method in ("Dense", "Small-Dense", "Static", "SET"):
        return f
    if method in ("RigL", "RigL-SG", "RigL-SM"):
        return mean + (1 - mean) / (3 * (delta_t + 1))
    if method == "SNFS":
        return step_fraction(mean, dense_gradients=True)
    if method not in ("Pruning", "Lottery"):
        raise ValueError(f"no formula for method {method!r}: known are the methods of the report's tables")
    if mean_fraction is None:
        raise ValueError(f"mean_fraction is missing: the cost of {method} is the mean of f over its pruning")
    return mean if method == "Pruning" else mean + f
