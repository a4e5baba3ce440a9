"""Single layers at density 0.1: the forms in which few weights can be stored, against the dense layer.

Masked: zeros among the weights. CSR, and BSR of 4×4 blocks: torch's own. Gather: constant fan-in, each output looks up
its inputs. A convolution in these three is their product with the columns of its images (`unfold`), which is timed too.
Channels: both sides of the layer have √0.1 of their channels. SparseLab: its linear layer, where the package is there.
"""

import importlib.util
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_limits
from torch import Tensor

from benchmarks.timing import Machine, Measurement, fastest, ratios, within_reason
from rigl_nb.deploy.speed import LAYOUTS
from rigl_nb.execution.cores import computing

DENSITY, BLOCK, SEED = 0.1, 4, 0
LAYERS = {"3×3 convolution 64→64 at 16×16": (64, 64, 3, 16), "linear layer 3072→768": (768, 3072)}
QUICK = {"3×3 convolution 16→16 at 8×8": (16, 16, 3, 8), "linear layer 96→48": (48, 96)}
DENSE = "dense"


@dataclass(frozen=True)
class Form:
    """A way to compute a layer: `weight` and `x` are what a dense one would need for the same output."""

    name: str
    call: Callable[[], Tensor]
    weight: Tensor
    x: Tensor
    note: str = ""


def measure(machine: Machine, batch: int, threads: int) -> list[Measurement]:
    """Seconds of the dense layers in their faster memory format, and what the other forms gain over it."""
    what, found = f"forward, batch {batch}, {threads} thread{'s' if threads > 1 else ''}", []
    for layer, shape in (QUICK if machine.quick else LAYERS).items():
        made, refused = _working(forms(shape, batch, machine.device))
        with computing(threads), threadpool_limits(threads), torch.no_grad():  # SparseLab has threads of its own
            seconds = within_reason(machine, {key: form.call for key, form in made.items()})
        names = dict.fromkeys(form.name for form in made.values())
        best = {name: fastest(seconds, [key for key in made if made[key].name == name]) for name in names}
        dense = seconds[best[DENSE]]
        found.append(Measurement(what, f"{layer}, {best[DENSE]}", "s", tuple(dense), "fp32"))
        for name, key in best.items():
            if name != DENSE:
                values = ratios(dense, seconds[key])
                found.append(Measurement(f"speed-up, {what}", f"{layer}, {key}", "x", values, made[key].note))
        refused |= {} if len(shape) > 2 or "SparseLab" in names else {"SparseLab": _absent(machine)}
        found += [Measurement(f"speed-up, {what}", f"{layer}, {name}", "x", (), why) for name, why in refused.items()]
    return found


def _absent(machine: Machine) -> str:
    return f"not measured: {'it computes on CPUs' if machine.gpu else 'sparselab is not installed'}"


def _working(made: Iterator[tuple[str, Form]]) -> tuple[dict[str, Form], dict[str, str]]:
    """The forms that this device computes, and what torch says of the others."""
    working, refused = {}, {}
    for key, form in made:
        try:
            form.call()
            working[key] = form
        except (RuntimeError, NotImplementedError) as error:
            refused[key] = f"not measured: {str(error).splitlines()[0]}"
    return working, refused


def forms(shape: tuple[int, ...], batch: int, device: str = "cpu") -> Iterator[tuple[str, Form]]:
    """(name, form) of a layer, those in two memory formats twice; shape: (out, in) or (c_out, c_in, k, side)."""
    draw, convolution = torch.Generator().manual_seed(SEED), len(shape) > 2
    outputs, inputs = shape[:2]
    kernel, pixels = ((shape[2],) * 2, (shape[3],) * 2) if convolution else ((), ())
    weight = torch.randn(outputs, inputs, *kernel, generator=draw).to(device)
    x = torch.randn(batch, inputs, *pixels, generator=draw).to(device)
    fan_in = inputs * math.prod(kernel)
    masked = weight * _mask(weight.numel(), draw).reshape(weight.shape).to(device)
    rows, columns = (round(math.sqrt(DENSITY) * side) for side in (outputs, inputs))
    few, of_them = weight[:rows, :columns].clone(), x[:, :columns].clone()
    for name, w, given, note in (
        (DENSE, weight, x, ""),
        ("masked", masked, x, ""),
        ("channels", few, of_them, f"{columns}→{rows}"),
    ):
        for how, layout in LAYOUTS.items() if convolution else ():
            operands = (given.contiguous(memory_format=layout), w.contiguous(memory_format=layout))
            yield f"{name}, {how}", Form(name, partial(F.conv2d, *operands, padding=kernel[0] // 2), w, given, note)
        if not convolution:
            yield name, Form(name, partial(F.linear, given, w), w, given, note)

    def product(name: str, multiply: Callable[[Tensor], Tensor], matrix: Tensor, note: str = "") -> tuple[str, Form]:
        call = partial(_by_columns, multiply, x, kernel)
        return name, Form(name, call, matrix.reshape(weight.shape), x, note)

    sparse = masked.reshape(outputs, fan_in)
    yield product("CSR", partial(torch.matmul, sparse.to_sparse_csr()), sparse)
    kept = _mask(outputs * fan_in // BLOCK**2, draw).reshape(outputs // BLOCK, -1).to(device)
    blocks = weight.reshape(sparse.shape) * kept.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
    yield product("BSR", partial(torch.matmul, blocks.to_sparse_bsr((BLOCK, BLOCK))), blocks, f"blocks {BLOCK}×{BLOCK}")
    index = torch.rand(outputs, fan_in, generator=draw).argsort(1)[:, : round(DENSITY * fan_in)].to(device)
    values = weight.reshape(sparse.shape).gather(1, index)
    constant = torch.zeros_like(sparse).scatter(1, index, values)
    yield product("gather", lambda columns: torch.einsum("ok,okp->op", values, columns[index]), constant)
    if not convolution and device == "cpu" and importlib.util.find_spec("sparselab"):
        yield "SparseLab", sparselab(outputs, x)


def _mask(size: int, draw: torch.Generator) -> Tensor:
    """So many ones as the density asks for, anywhere."""
    return torch.rand(size, generator=draw).argsort() < round(DENSITY * size)


def _by_columns(multiply: Callable[[Tensor], Tensor], x: Tensor, kernel: tuple[int, ...]) -> Tensor:
    """A layer as one product with a matrix from the left: of the inputs, or of the patches that a kernel sees."""
    if not kernel:
        return multiply(x.T).T
    columns = F.unfold(x, kernel, padding=kernel[0] // 2).transpose(0, 1).flatten(1)
    return multiply(columns).unflatten(1, (len(x), *x.shape[2:])).transpose(0, 1)


def sparselab(outputs: int, x: Tensor) -> Form:
    """SparseLab's own layer, with weights of its own."""
    import sparselab as peer

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(SEED)
        layer = peer.SparseLinear(x.shape[1], outputs, bias=False, sparsity=1 - DENSITY)
    with torch.no_grad():
        weight = layer(torch.eye(x.shape[1])).T.clone()
    return Form("SparseLab", partial(layer, x), weight, x, f"version {peer.__version__}")
