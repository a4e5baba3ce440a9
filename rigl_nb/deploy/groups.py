"""Hidden channels of a model that somebody else wrote, found by Torch-Pruning's trace and checked by running it."""

import copy
import importlib.util
import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from rigl_nb import checks
from rigl_nb.compact import LAYERS, compact
from rigl_nb.masking.channels import READERS, Channel, Hidden, hidden
from rigl_nb.models.layers import matrices
from rigl_nb.sparsifier import Sparsifier

TRIES = 2  # cuts of the channels into halves, of which a check changes each
TOLD = 3  # layers of which an error says why
LARGE = 10.0  # standard deviation of what it changes weights to


def hidden_groups(model: nn.Module, example: Tensor, writers: Iterable[str] = ()) -> tuple[tuple[str, ...], ...]:
    """What `Channel(groups=…)` takes, for a model that declares nothing: writer, norms between, reader, by name.

    `example` is an input, (n, …) on the model's device. A group is kept where one layer alone reads the channels and
    each of them by itself: whatever its writer computes, the output is the same once no column reads it; and where a
    model that has half of the channels computes what their mask does. Both is tried on a copy, for the trace knows no
    operation that mixes channels outside of layers, nor one that counts them. Residual streams, which many layers read,
    are left out. `writers` are layers whose channels have to be hidden: ValueError says why they are not.
    Also raises it where Torch-Pruning is missing or cannot follow the model, and where nothing is found.
    """
    if importlib.util.find_spec("torch_pruning") is None:
        raise ValueError("hidden_groups needs torch-pruning: install it by pip install 'rigl_nb[tracing]'")
    checks.kind("model", model, nn.Module)
    twin = _stirred(model)
    graph = _graph(twin, example)
    layers = {name: m for name, m in twin.named_modules() if isinstance(m, READERS) and getattr(m, "groups", 1) == 1}
    asked, found, why = list(writers), [], {}
    if unknown := [name for name in asked if name not in layers]:
        raise ValueError(f"writer {unknown[0]!r} is not allowed: the layers are {', '.join(layers)}")
    for name in asked or layers:
        try:
            group = _group(twin, graph, name)
            _check(twin, group, example)
            _check_smaller(twin, group, example)
            found.append(group)
        except ValueError as error:
            why[name] = str(error)
    if (asked and why) or not found:
        reasons = [f"{name!r} {reason}" for name, reason in why.items()]
        more = [f"and {len(reasons) - TOLD} more"] if len(reasons) > TOLD else []
        raise ValueError(f"no hidden channels: {'; '.join(reasons[:TOLD] + more)}")
    return tuple(found)


def _graph(model: nn.Module, example: Tensor):
    import torch_pruning

    try:
        return torch_pruning.DependencyGraph().build_dependency(model, example_inputs=example, verbose=False)
    except Exception as error:  # whatever a model's own code raises under the trace
        raise ValueError(f"Torch-Pruning cannot follow {type(model).__name__}: {_first_line(error)}") from error


def _group(model: nn.Module, graph, name: str) -> tuple[str, ...]:
    """The modules on the way of a layer's channels; ValueError where other layers compute or read them too."""
    names, layer = {module: path for path, module in model.named_modules()}, model.get_submodule(name)
    try:
        parts = graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, idxs=[0])
    except Exception as error:  # it has no kind of its own
        raise ValueError(f"is not in the trace: {_first_line(error)}") from error
    rows, readers = {}, {}
    for dependency, _ in parts:
        module = dependency.target.module
        if module in names and any(True for _ in module.parameters()):
            ends = isinstance(module, READERS) and getattr(module, "groups", 1) == 1
            reads = ends and graph.is_in_channel_pruning_fn(dependency.handler)
            (readers if reads else rows)[names[module]] = ends
    if others := [path for path, ends in rows.items() if ends and path != name]:
        raise ValueError(f"shares its channels with {', '.join(others)}")
    if len(readers) != 1:
        raise ValueError(f"is read by {', '.join(readers)}" if readers else "is read by no layer")
    return (name, *(path for path in rows if path != name), *readers)


@torch.no_grad()
def _check(model: nn.Module, names: tuple[str, ...], example: Tensor) -> None:
    """ValueError unless no channel has an effect beside that of the reader's columns for it."""
    group, draw = hidden(model, names), torch.Generator().manual_seed(0)
    writer, reader = f"{group.rows[0]}.weight", f"{group.reader}.weight"
    weights = dict(model.named_parameters())
    each = weights[reader].shape[1] // group.channels
    for _ in range(TRIES):
        order = torch.randperm(group.channels, generator=draw)
        for half in order.tensor_split(2):
            columns, changed = (half[:, None] * each + torch.arange(each)).flatten(), weights[writer].clone()
            unread = weights[reader].index_fill(1, columns.to(changed.device), 0)
            changed[half] = LARGE * torch.randn(changed[half].shape, generator=draw).to(changed)
            before = _tensors(functional_call(model, {reader: unread}, example))
            after = _tensors(functional_call(model, {reader: unread, writer: changed}, example))
            if not before:
                raise ValueError("cannot be checked: the model's output holds no tensor")
            if not all(map(_same, before, after)):
                raise ValueError(f"is read by more than {group.reader}, or its channels are mixed on the way there")


@torch.no_grad()
def _check_smaller(model: nn.Module, names: tuple[str, ...], example: Tensor) -> None:
    """ValueError unless a model that has half of the channels computes what their mask does, if it can be made."""
    group, twin = hidden(model, names), copy.deepcopy(model)
    if not all(isinstance(model.get_submodule(name), LAYERS) for name in names):
        return  # `compact` refuses it by itself
    small = compact(twin, _halved(twin, group))
    wanted = _tensors(twin(example))
    try:
        found = _tensors(small(example))
    except Exception as error:  # whatever a model's own code raises
        raise ValueError(f"cannot have fewer channels: {_first_line(error)}") from error
    if len(found) != len(wanted) or not all(_same(*pair, loose=True) for pair in zip(wanted, found, strict=True)):
        raise ValueError(f"has an effect by the number of its channels, or {group.reader} by the shape of its weight")


def _halved(model: nn.Module, group: Hidden) -> Sparsifier:
    """Half of a group's channels under a mask, and nothing else, whatever other layers are."""
    names, weight = (*group.rows, group.reader), model.get_submodule(group.reader).weight
    order = torch.randperm(group.channels, generator=torch.Generator().manual_seed(0))
    live = (order < (group.channels + 1) // 2).repeat_interleave(weight.shape[1] // group.channels)
    mask = live.view(1, -1, *[1] * (weight.ndim - 2)).expand(weight.shape).clone()
    others = [name for name, _ in (*matrices(model), *model.named_parameters()) if name.rpartition(".")[0] not in names]
    optimizer, structure = torch.optim.SGD(model.parameters(), lr=0.1), Channel(groups=(names,))
    masks = {f"{group.reader}.weight": mask}
    return Sparsifier(model, optimizer, "Static", masks, exclude=others, structure=structure)


def _same(before: Tensor, after: Tensor, loose: bool = False) -> bool:
    """Whether two outputs are one but for rounding; `loose` where sums have another order, and through many layers."""
    if before.shape != after.shape or not before.is_floating_point():
        return torch.equal(before, after)
    eps = torch.finfo(before.dtype).eps
    scale = (math.sqrt(eps) if loose else 100 * eps) * before.abs().max().item()
    return torch.allclose(before, after, rtol=0, atol=scale)


def _tensors(output: object) -> list[Tensor]:
    """The tensors of an output, whatever holds them."""
    if torch.is_tensor(output):
        return [output]
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _stirred(model: nn.Module) -> nn.Module:
    """A copy in evaluation that hides nothing behind a zero, as a last norm's scale may be at first."""
    twin, draw = copy.deepcopy(model).eval().requires_grad_(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in twin.parameters():
            size = 0.1 / math.sqrt(p[0].numel() if p.ndim > 1 else 1)
            p.add_(size * torch.randn(p.shape, generator=draw).to(p))
    return twin


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
