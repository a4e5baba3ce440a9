"""A machine with a GPU that only knows shapes: torch's fake tensors are on the device, real ones on the host.

What mixes the two fails as it would there; what the host waits for is noted, and so are the kernels. Autograd's own
engine asks CUDA for streams, so a small one stands in for it.
"""

from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
from recorder import WAITS, by_a_mask
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map

from rigl_nb import rng

FREE = "detach view t alias unsqueeze slice select permute expand empty_like empty new_empty as_strided _unsafe_view"
FREE = {*FREE.split(), "device", "transpose", "split", "squeeze", "lift_fresh", "unbind", "numel", "empty_strided"}
SEVERAL = {"slice_backward": 2}  # zeros, and a copy into them


class Machine(FakeTensorMode):
    """The mode; `kernels` are the names of what was started on the device, `waits` of what the host waited for."""

    def __init__(self, device: str):
        super().__init__(allow_non_fake_inputs=True)
        self.device, self.kernels, self.waits = torch.device(device), [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        asked = kwargs.get("device") and torch.device(kwargs["device"])
        away = [tensor for tensor in given if isinstance(tensor, FakeTensor)]
        if not away and (asked is None or asked.type == "cpu"):
            return function(*args, **kwargs)  # the host's own work is real
        name = function.overloadpacket.__name__
        self.kernels += [name] * SEVERAL.get(name, name not in FREE)
        if self.device.type == "mps":
            assert torch.float64 not in [kwargs.get("dtype"), *(tensor.dtype for tensor in away)], "MPS has no float64"
        if name in WAITS or by_a_mask(function, args):
            self.waits.append(name)
        if name == "_local_scalar_dense":
            return False if away[0].dtype == torch.bool else 0
        if away and asked is not None and asked.type == "cpu":
            self.waits.append("to the host")
            return torch.zeros(away[0].shape, dtype=kwargs.get("dtype") or away[0].dtype)
        if away and len(given) > len(away) and name == "copy_":
            self.waits.append("from the host")
        if name.startswith("_fused_sgd"):  # torch has no shapes of it: it changes its arguments only
            assert {tensor.device for tensor in given} == {away[0].device}, "the optimizer mixes devices"
            return None
        if name == "_fused_dropout":  # nor of this one with a generator
            return torch.empty_like(away[0]), torch.empty_like(away[0], dtype=torch.uint8)
        args, kwargs = tree_map(self._shaped, (args, kwargs))
        return super().__torch_dispatch__(function, types, args, kwargs)

    def _shaped(self, leaf):
        """Return the fake of a real tensor on the host; other things as they are."""
        real = isinstance(leaf, torch.Tensor) and not isinstance(leaf, FakeTensor)
        return self.from_tensor(leaf) if real else leaf


@torch.no_grad()
def backward(loss: torch.Tensor) -> None:
    """Do what `loss.backward()` does, node by node."""
    order, seen, stack = [], set(), [(loss.grad_fn, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack += [(node, True), *((other, False) for other, _ in node.next_functions if other)]
    given = {loss.grad_fn: [torch.ones_like(loss)]}
    for node in reversed(order):
        slots = given.pop(node)
        if hasattr(node, "variable"):
            weight = node.variable
            weight.grad = slots[0] if weight.grad is None else weight.grad.add_(slots[0])
            continue
        out = node(*slots)
        for (other, index), grad in zip(node.next_functions, out if isinstance(out, tuple) else (out,), strict=True):
            if other and grad is not None:
                meta, there = other._input_metadata[index], given.setdefault(other, [])
                grad = grad if grad.shape == meta.shape else grad.sum_to_size(meta.shape)
                grad = grad.to(meta.dtype)
                there += [None] * (index + 1 - len(there))
                there[index] = grad if there[index] is None else there[index] + grad


def move(model: nn.Module, device=None, memory_format=None) -> nn.Module:
    """Do what `model.to()` does; a fake weight cannot take the place of a real one in the same object."""
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                value = weight.detach().to(device) if device else weight.detach()
                value = value.contiguous(memory_format=memory_format) if memory_format and value.ndim == 4 else value
                module._parameters[name] = nn.Parameter(value)
        for name, value in module._buffers.items():
            if value is not None and device:
                module._buffers[name] = value.to(device)
    return model


@contextmanager
def machine(device: str):
    """Be on that machine. Generators are the host's, which draw no real number for a fake tensor."""
    plain, mode = rng.torch_generator, Machine(device)

    class Generator(torch.Generator):
        device = mode.device  # where torch's own would be

    def generator(seed, *stream, device="cpu"):
        return Generator().manual_seed(0) if torch.device(device) == mode.device else plain(seed, *stream)

    with ExitStack() as stack:
        stack.enter_context(mode)
        for target, name, stand_in in (
            (rng, "torch_generator", generator),
            (nn.Module, "to", move),
            (torch.Tensor, "backward", backward),
            (torch.cuda, "is_available", lambda: True),  # autocast looks
            (torch.cuda, "is_bf16_supported", lambda *_, **__: True),
            (torch.cuda, "synchronize", lambda device=None: mode.waits.append(f"for {device}")),
        ):
            stack.enter_context(mock.patch.object(target, name, stand_in))
        yield mode
