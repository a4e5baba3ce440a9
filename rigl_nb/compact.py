"""The small dense network inside a network with dead hidden channels: it computes the same, in less time.

It is made once, by `compact`; or again and again while the network trains, in its place, by `resize`.
"""

import copy
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rigl_nb import checks
from rigl_nb.masking import optimizers
from rigl_nb.masking.channels import Channel
from rigl_nb.masking.parts import Part, Whole
from rigl_nb.sparsifier import Sparsifier

NORMS = (  # channel by channel: others would see what is left out
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
MIXING = (nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm, nn.Softmax, nn.Softmax2d)  # also without parameters
LAYERS = (*NORMS, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
SIZES = ("num_features", "in_features", "out_features", "in_channels", "out_channels", "groups")  # that they tell


def compact(model: nn.Module, sparsifier: Sparsifier) -> nn.Module:
    """An ordinary smaller module that computes what `model` does under the sparsifier's dead hidden channels.

    It keeps of each group the live rows of what computes the channels, their entries of norms, running statistics
    included, and the columns that are read. The sums are the same but for their order and for zeros: bit for bit where
    they are exact, to the last bits elsewhere; in training too, where dropout is 0. The report's Wide ResNets and
    bottleneck ResNets, and any other model whose widths are only in its layers; `model` itself stays as it is. Raises
    ValueError for masks of another structure, in which no channel is dead, and for a model that is not under them.
    """
    _channels(sparsifier)
    if sparsifier.left_out and not _own(model, sparsifier):
        raise ValueError(
            "the sparsifier's own model is compact for now: call expand(sparsifier) before another one's turn"
        )
    small = copy.deepcopy(model)
    for path, part in kept(model, sparsifier).items() if not sparsifier.left_out else ():
        module = small.get_submodule(path)
        for tensor in _tensors(module, part):
            tensor.data = part.of(tensor.data)
        _tell(module, part)
    return small


@torch.inference_mode(False)  # else a training would go on with tensors that it cannot record
@torch.no_grad()
def resize(model: nn.Module, sparsifier: Sparsifier) -> None:
    """Make a model compact in place, or whole where the next step updates its masks: call it before a forward pass.

    The same modules, parameters and optimizer then hold live channels alone, with the optimizer's buffers. Gradients of
    before are gone, all of them: never call it between a backward pass and its step. A step is an ordinary one. The
    training is the masked one, as for `compact`, where the optimizer moves every entry by itself, and where nothing
    looks at all gradients together: a norm for clipping counts those of dead channels, which a compact model does not
    have, unless the masked training calls `mask_gradients()` before, in iterations without an update. Whoever saves,
    averages or replaces weights calls `expand` before. It does not go with DistributedDataParallel, which knows one
    size. Raises ValueError for a model that is not the sparsifier's or has no compact one, and for an optimizer that
    looks at whole weights, or lacks some.
    """
    _channels(sparsifier)
    if not _own(model, sparsifier):
        raise ValueError(f"model {type(model).__name__} does not hold the sparsifier's parameters: resize that one")
    if sparsifier.update_due:
        expand(sparsifier)
    elif not sparsifier.left_out:
        sparsifier.left_out = tuple(_found(model, sparsifier))
        for one in sparsifier.left_out:
            kept = {key: one.part.of(values) for key, values in one.kept.items()}
            _put(sparsifier.optimizer, one, one.part.of(one.data), kept, None)
            _tell(one.module, one.part)
        sparsifier.optimizer.zero_grad()


@torch.inference_mode(False)
@torch.no_grad()
def expand(sparsifier: Sparsifier) -> None:
    """Put all channels back into a model that `resize` made compact, with what the live ones have learnt.

    Where the next step updates the masks, which needs gradients of all channels, those of before are gone.
    """
    _check(sparsifier)
    for one in sparsifier.left_out:
        kept = {key: _filled(one, key, values) for key, values in _kept(sparsifier.optimizer, one.tensor).items()}
        counts = one.tensor.grad is not None and not sparsifier.update_due  # which wants those of dead channels too
        gradient = _filled(one, "", one.tensor.grad) if counts else None
        data = one.data.to(one.tensor)
        one.part.into(data, one.tensor.data)
        _put(sparsifier.optimizer, one, data, kept, gradient)
        vars(one.module).update(one.sizes)
    if sparsifier.left_out and sparsifier.update_due:
        sparsifier.optimizer.zero_grad()
    sparsifier.left_out = ()


def _found(model: nn.Module, sparsifier: Sparsifier) -> Iterator[Whole]:
    """What a compact model has less of, as it is now."""
    optimizer = sparsifier.optimizer
    for group in optimizer.param_groups:
        if not all(optimizers.by_entry(optimizer, group, parameter) for parameter in group["params"][:1]):
            why = "it does not move every entry of a weight by itself. Take SGD, Adam or another one"
            raise ValueError(f"optimizer {type(optimizer).__name__} is not allowed with a compact model: {why}")
    sparsifier.apply()  # whatever was loaded since
    moved = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    rows = {id(p): starts for rows in sparsifier.resting.rows.values() for p, starts in rows}
    starts = rows | {id(weight): sparsifier.starts[name] for name, weight in sparsifier.weights.items()}
    for path, part in kept(model, sparsifier).items():
        module = model.get_submodule(path)
        sizes = {name: value for name, value in vars(module).items() if name in SIZES}
        for tensor in _tensors(module, part):
            if tensor.requires_grad and id(tensor) not in moved:
                why = "it does not step all parameters of hidden channels. Make one optimizer of them"
                raise ValueError(f"optimizer {type(optimizer).__name__} is not allowed with a compact model: {why}")
            state = _kept(optimizer, tensor), starts.get(id(tensor)) or {}
            yield Whole(tensor, part, tensor.data, *state, module, sizes)


def _filled(one: Whole, key: str, values: Tensor) -> Tensor:
    """What goes along with a parameter, for all channels: of dead ones as before, or what the optimizer starts from."""
    start = one.starts.get(key) or 0.0
    whole = one.kept[key].to(values) if key in one.kept else torch.full_like(one.data, start).to(values)
    one.part.into(whole, values)
    return whole


def _tensors(module: nn.Module, part: Part) -> Iterator[Tensor]:
    """Parameters and buffers of a module that are not whole in a compact model."""
    tensors = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return (tensor for tensor in tensors if part.cuts(tensor))


def _kept(optimizer: Optimizer, tensor: Tensor) -> dict[str, Tensor]:
    """What the optimizer keeps of every entry of a parameter."""
    state = optimizer.state.get(tensor, {})
    return {key: v for key, v in state.items() if torch.is_tensor(v) and v.shape == tensor.shape}


def _put(optimizer: Optimizer, one: Whole, data: Tensor, kept: Mapping[str, Tensor], gradient: Tensor | None) -> None:
    """Give a parameter or buffer other data, with what goes along; an optimizer's state that was asked for stays."""
    one.tensor.grad = None
    other = torch.float16 if data.dtype == torch.float32 else torch.float32
    one.tensor.data = data.new_empty(0, dtype=other)  # with another type, autograd forgets the size it has seen
    one.tensor.data = data
    one.tensor.grad = gradient
    if kept:
        optimizer.state[one.tensor] = optimizer.state[one.tensor] | kept


def kept(model: nn.Module, sparsifier: Sparsifier) -> dict[str, Part]:
    """What a compact model holds of each module that computes, normalises or reads hidden channels, by its name."""
    structure = _channels(sparsifier)
    sparsifier.whole("what is kept of it")
    checks.kind("model", model, nn.Module)
    parts: dict[str, Part] = {}
    weights = dict(model.named_parameters())
    for group in structure.found:
        if (mask := sparsifier.masks.get(name := f"{group.reader}.weight")) is None:
            continue  # somebody gave masks, and none for this one
        if name not in weights or weights[name].shape != mask.shape:
            what = f"it has no such layer {name!r}. Give the module that the Sparsifier was made with"
            raise ValueError(f"model {type(model).__name__} is not the sparsifier's: {what}, not one around it")
        if weights[name].detach().masked_fill(mask.to(weights[name].device), 0).any():
            way = "load these weights into the sparsifier's own model, and call its apply()"
            raise ValueError(f"layer {name!r} is not under the sparsifier's mask, a dead channel is read: {way}")
        live = structure.live(name, mask)[0]
        for path in group.rows:
            parts[path] = Part(live.nonzero()[:, 0], parts.get(path, Part()).columns)
        columns = live.repeat_interleave(mask.shape[1] // len(live)).nonzero()[:, 0]
        parts[group.reader] = Part(parts.get(group.reader, Part()).rows, columns)
    for module in map(model.get_submodule, parts):
        mixes = isinstance(module, MIXING) or any(True for _ in module.parameters(recurse=False))
        if not isinstance(module, LAYERS) and mixes:
            raise ValueError(f"{type(module).__name__} has no compact model: it is not known to see each channel alone")
    return parts


def _own(model: nn.Module, sparsifier: Sparsifier) -> bool:
    """Whether the sparsifier's parameters are this model's, not those of a copy."""
    checks.kind("model", model, nn.Module)
    return {id(weight) for weight in sparsifier.weights.values()} <= {id(p) for p in model.parameters()}


def _check(sparsifier: Sparsifier) -> None:
    """ValueError where the arguments have changed places."""
    if not isinstance(sparsifier, Sparsifier):
        raise ValueError(f"{type(sparsifier).__name__} is no Sparsifier: resize(model, sparsifier), expand(sparsifier)")


def _channels(sparsifier: Sparsifier) -> Channel:
    """The structure; ValueError where it is not of channels."""
    _check(sparsifier)
    if not isinstance(sparsifier.structure, Channel):
        why = "its masks leave no whole channel out: make the Sparsifier with structure='channel'"
        raise ValueError(f"structure {sparsifier.structure.name} has no compact model: {why}")
    return sparsifier.structure


def _tell(module: nn.Module, part: Part) -> None:
    """Let a layer say of itself what its tensors are by now."""
    if isinstance(module, NORMS):
        module.num_features = len(part.rows)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        module.out_channels, inputs = module.weight.shape[:2]
        module.groups = module.out_channels if module.groups > 1 else 1  # depthwise, or one group
        module.in_channels = inputs * module.groups
