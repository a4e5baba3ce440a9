"""What masks have to know of an optimizer: which one steps, what it keeps of a weight, how to act at its steps."""

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

REFUSED = {  # by class: why its steps cannot be masked
    "LBFGS": "it moves all weights along one line, and evaluates the loss again and again",
    "ZeroRedundancyOptimizer": "it keeps what it knows of a weight in another process",
}


def plain(optimizer: Optimizer) -> Optimizer:
    """The optimizer inside the wrappers of Accelerate or Lightning; ValueError for one that masks cannot go with."""
    while isinstance(getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = optimizer.optimizer
    if not isinstance(optimizer, Optimizer):
        raise ValueError(
            f"{type(optimizer).__name__} is no optimizer: give one of torch.optim, or of a class made from it"
        )
    for kind in type(optimizer).__mro__:
        if reason := REFUSED.get(kind.__name__):
            raise ValueError(f"optimizer {kind.__name__} is not allowed: {reason}. Take SGD, Adam or another one")
    return optimizer


def starts(optimizer: Optimizer, group: Mapping, weight: nn.Parameter) -> dict[str, float] | None:
    """What the optimizer keeps of every entry of a weight, and the value that it starts from; None if that is unknown.

    0 for momentum; the learning rate for Rprop's step sizes. A copy of the optimizer says so: it takes a first step on
    a small weight without a gradient. It has no hooks, and only what its class declares as its state.
    """
    probe = nn.Parameter(weight.new_zeros(tuple(range(2, 2 + weight.ndim))))  # no sum over a side has this shape
    probe.grad = torch.zeros_like(probe)
    try:
        trial = copy.copy(optimizer)
        trial.state, trial.param_groups = defaultdict(dict), [{**group, "params": [probe]}]
        trial.step()
    except Exception:  # of a class that needs more than its declared state
        return None
    kept = trial.state[probe].items()
    return {key: v.flatten()[0].item() for key, v in kept if torch.is_tensor(v) and v.shape == probe.shape}


def around(optimizer: Optimizer, before: Callable, after: Callable) -> tuple[RemovableHandle, RemovableHandle]:
    """Call `before` and `after` with the optimizer at each of its steps.

    A closure, which is a trainer's whole iteration, is called first: `before` finds the gradients.
    """

    def first(optimizer: Optimizer, arguments: tuple, options: dict) -> tuple | None:
        closure = options.get("closure", arguments[1] if len(arguments) > 1 else None)
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        before()
        return None if closure is None else (arguments[:1], options | {"closure": lambda: loss})

    return optimizer.register_step_pre_hook(first), optimizer.register_step_post_hook(lambda *_: after())


def overflowed(optimizer: Optimizer) -> bool:
    """Whether a fused optimizer was told by GradScaler that a gradient is not finite: its step does nothing then."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)


def unscale(optimizer: Optimizer) -> None:
    """Divide the gradients by GradScaler's factor, where a fused optimizer was left to do it in its step."""
    if (scale := getattr(optimizer, "grad_scale", None)) is not None:
        for parameter in (p for group in optimizer.param_groups for p in group["params"] if p.grad is not None):
            parameter.grad.div_(scale)
