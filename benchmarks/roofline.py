"""The least time that a dense training step can take: its operations and bytes over what this machine can do.

Counted are the layers that the FLOPs count, convolutions and linear ones; everything between them (normalisation,
ReLU, dropout, additions) is taken as fused into them, at no cost. For a layer, with B images and a bytes for a number
of an activation (2 in bf16, 4 in float32):

    operations  3 · 2·MAC · B                         forward, gradient of the input, gradient of the weights
    bytes       B·a·(in + out)                        forward: read the input, write the output
              + B·a·(out + in + in)                   backward: read the output's gradient and the saved input, write
                                                      the input's gradient (which the first layer does not have)
              + weights · (2·a + 6·4)                 read twice in `a`; in float32 the gradient is written and read,
                                                      weight and momentum are read and written by the optimizer

The bound is the sum over layers of the larger of operations / matmul rate and bytes / memory bandwidth. A cache that
holds a layer's activations can beat the bytes: for small layers the bound is a landmark, not a law.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from benchmarks.timing import Machine, Measurement, interleaved
from rigl_nb import flops

WEIGHT_BYTES = 4


@dataclass(frozen=True)
class Layer:
    """What one layer costs in a training step."""

    name: str
    operations: float
    bytes: float


def layers(model: nn.Module, shape: tuple[int, ...], batch: int, activation: int) -> list[Layer]:
    """The layers of a dense step on `batch` images of `shape` (c, h, w); `activation`: bytes of a number."""
    cost = flops.layer_flops(model, shape)
    found = []
    for name, (read, written, weights) in _sizes(model, shape).items():
        passes = (3 if found else 2) * read + 2 * written
        moved = batch * activation * passes + weights * (2 * activation + 6 * WEIGHT_BYTES)
        found.append(Layer(name, 3 * batch * cost[name], moved))
    return found


def _sizes(model: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[int, int, int]]:
    """Numbers of input, output (of one image) and weight of each layer, by parameter name, in the order of use."""
    shadow = copy.deepcopy(model).to("meta").eval()
    sizes = {}
    for name, module in shadow.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):

            def note(module: nn.Module, inputs: tuple, output: torch.Tensor, name: str = name) -> None:
                sizes[f"{name}.weight"] = inputs[0].numel(), output.numel(), module.weight.numel()

            module.register_forward_hook(note)
    with torch.no_grad():
        shadow(torch.empty(1, *shape, device="meta"))
    return sizes


def bound(layers: Iterable[Layer], matmul: float, bandwidth: float) -> float:
    """Seconds of a step at `matmul` FLOP/s and `bandwidth` B/s."""
    return sum(max(layer.operations / matmul, layer.bytes / bandwidth) for layer in layers)


def rates(machine: Machine, precision: str) -> tuple[Measurement, Measurement]:
    """(matmul rate, memory bandwidth): of a square product in this precision, and of a copy, bytes read + written."""
    small = machine.quick
    side = 256 if small else 8192 if machine.gpu else 2048
    numbers = 2**20 if small else 2**28 if machine.gpu else 2**26
    source, target = torch.ones(numbers, device=machine.device), torch.empty(numbers, device=machine.device)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(side, side, device=machine.device, dtype=kind) for _ in range(2))
    arms = {"copy": lambda: target.copy_(source), "product": lambda: left @ right}
    seconds = interleaved(arms, 7, machine.synchronise, steps=10 if machine.gpu else 1)
    copied = tuple(2 * 4 * numbers / s for s in seconds["copy"])
    products = tuple(2 * side**3 / s for s in seconds["product"])
    note = f"{side}×{side}, {str(kind).removeprefix('torch.')}"
    return (
        Measurement("rate of this machine", "matrix product", "FLOP/s", products, note),
        Measurement("rate of this machine", "memory", "B/s", copied, f"a copy of {4 * numbers / 2**20:,.0f} MiB"),
    )
