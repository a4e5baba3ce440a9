"""What masks have to know of an optimizer: which one steps, what it keeps of a weight, how to act at its steps."""

import copy
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

KEY = "sparsifier"  # in an optimizer's state
HOOKED = Optimizer.profile_hook_step(lambda optimizer: None).__code__  # of what torch makes of each class's step

PASSING = {"accelerate", "lightning", "lightning_fabric", "pytorch_lightning"}  # their wrappers only pass calls on
REFUSED = {  # by class: why its steps cannot be masked
    "Lookahead": "it writes weights after another optimizer's step",
    "LBFGS": "it moves all weights along one line, and evaluates the loss again and again",
    "ZeroRedundancyOptimizer": "it keeps what it knows of a weight in another process",
}


def plain(optimizer: Optimizer) -> Optimizer:
    """The optimizer inside the wrappers of Accelerate or Lightning; ValueError for one that masks cannot go with."""
    while _passes(optimizer) and isinstance(getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = optimizer.optimizer
    if not isinstance(optimizer, Optimizer):
        raise ValueError(
            f"{type(optimizer).__name__} is no optimizer: give one of torch.optim, or of a class made from it"
        )
    for kind in type(optimizer).__mro__:
        if reason := REFUSED.get(kind.__name__):
            raise ValueError(f"optimizer {kind.__name__} is not allowed: {reason}. Take SGD, Adam or another one")
    for name, inner in vars(optimizer).items():
        if isinstance(inner, Optimizer):
            what = f"it may move weights beside the steps of its {name}, {type(inner).__name__}"
            way = "Give that one: after each of its own steps inactive weights are 0"
            raise ValueError(f"optimizer {type(optimizer).__name__} is not allowed: {what}. {way}")
    return optimizer


def _passes(optimizer: object) -> bool:
    return any(kind.__module__.partition(".")[0] in PASSING for kind in type(optimizer).__mro__)


def starts(optimizer: Optimizer, group: Mapping, weight: nn.Parameter) -> dict[str, float] | None:
    """What the optimizer keeps of every entry of a weight, and the value that it starts from; None if that is unknown.

    0 for momentum; the learning rate for Rprop's step sizes. A copy of the optimizer says so: it takes a first step on
    a small weight without a gradient. It has no hooks, and only what its class declares as its state.
    """
    probe = nn.Parameter(weight.new_zeros(tuple(range(2, 2 + weight.ndim))))  # no sum over a side has this shape
    try:
        trial = _trial(optimizer, group, probe, torch.zeros_like(probe))
    except Exception:  # of a class that needs more than its declared state
        return None
    kept = trial.state[probe].items()
    return {key: v.flatten()[0].item() for key, v in kept if torch.is_tensor(v) and v.shape == probe.shape}


def _trial(optimizer: Optimizer, group: Mapping, probe: nn.Parameter, gradient: Tensor) -> Optimizer:
    """A copy of the optimizer that has taken a first step, on this parameter alone."""
    probe.grad = gradient
    trial = copy.copy(optimizer)
    trial.state, trial.param_groups = defaultdict(dict), [{**group, "params": [probe]}]
    trial.step()
    return trial


def by_entry(optimizer: Optimizer, group: Mapping, weight: nn.Parameter) -> bool:
    """Whether a step moves each entry of a weight by that entry's gradient alone, as two trials of it say.

    Adafactor's, Muon's or LAMB's look at the whole weight. False for a class that cannot be tried.
    """
    values = torch.linspace(-1, 2, 12, dtype=weight.dtype, device=weight.device).view(4, 3)
    probes = [nn.Parameter(values[:rows].clone()) for rows in (4, 2)]
    try:
        for probe in probes:  # at a rate of its own: it may be 0 by now
            _trial(optimizer, {**group, "lr": 0.5}, probe, values.flip(1)[: len(probe)].clone())
    except Exception:
        return False
    return torch.allclose(probes[0][:2], probes[1], rtol=1e-3)


def buffers(
    optimizer: Optimizer, weight: nn.Parameter, known: dict[str, float | None] | None
) -> Iterator[tuple[Tensor, float]]:
    """What the optimizer keeps of every entry of a weight by now, and what it starts from.

    `known` is what `starts` gave, and learns of what came later: momentum that was turned on, or loaded. ValueError for
    numbers of 8 bits, of which 0 is a code.
    """
    state = optimizer.state.get(weight, {})
    kept = {key: v for key, v in state.items() if torch.is_tensor(v) and v.shape == weight.shape}
    for key, values in kept.items():
        if values.dtype in (torch.uint8, torch.int8):
            why = f"its {key} is kept in 8 bits. Take the class that keeps it whole"
            raise ValueError(f"optimizer {type(optimizer).__name__} is not allowed: {why}")
    if known is not None and kept.keys() - known.keys():
        group = next(one for one in optimizer.param_groups if any(p is weight for p in one["params"]))
        now = starts(optimizer, group, weight) or {}
        known |= {key: now.get(key) for key in kept.keys() - known.keys()}  # None: not of every entry
    for key, values in kept.items():
        start = 0.0 if known is None else known[key]
        if start is not None:
            yield values, start


def around(optimizer: Optimizer, before: Callable, after: Callable) -> tuple[RemovableHandle, ...]:
    """Call `before` and `after` at each step of the optimizer, once, also where its class calls another class's step.

    A closure, which is a trainer's whole iteration, is called first: `before` finds the gradients.
    """

    def first(optimizer: Optimizer, arguments: tuple, options: dict) -> tuple | None:
        if _inner(optimizer):
            return None
        closure = options.get("closure", arguments[1] if len(arguments) > 1 else None)
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        before()
        return None if closure is None else (arguments[:1], options | {"closure": _known(optimizer, loss)})

    def last(optimizer: Optimizer, arguments: tuple, options: dict) -> None:
        if not _inner(optimizer):
            after()

    return optimizer.register_step_pre_hook(first), optimizer.register_step_post_hook(last)


def _known(optimizer: Optimizer, loss: object) -> Callable[[], object]:
    """A closure that gives the loss again, as long as the weights are those that it is of."""
    moved = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    versions = [parameter._version for parameter in moved]

    def closure() -> object:
        if [parameter._version for parameter in moved] != versions:
            why = "it moves weights, then asks for their gradients again, which masks would not see"
            raise ValueError(f"optimizer {type(optimizer).__name__} is not allowed with attach(): {why}")
        return loss

    return closure


def _inner(optimizer: Optimizer) -> bool:
    """Whether this step was called by another step of the same optimizer: torch runs its hooks in both."""
    frame, steps = sys._getframe(1), 0
    while frame and steps < 2:
        steps += frame.f_code is HOOKED and frame.f_locals.get("self") is optimizer
        frame = frame.f_back
    return steps == 2


def carried(optimizer: Optimizer, save: Callable[[], dict], load: Callable[[dict], None]) -> tuple:
    """Keep a state of ours in the optimizer's, so that whoever saves and resumes that one resumes both."""

    def take(optimizer: Optimizer, state: dict) -> None:
        if KEY in state:
            load(state[KEY])
        else:
            warnings.warn("the optimizer's state has no masks: they stay as they are", stacklevel=4)

    give = optimizer.register_state_dict_post_hook(lambda optimizer, state: state | {KEY: save()})
    return give, optimizer.register_load_state_dict_pre_hook(take)


def parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    """Those with a gradient: the optimizer's step leaves all others alone."""
    return [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def overflowed(optimizer: Optimizer) -> bool:
    """Whether a fused optimizer was told by GradScaler that a gradient is not finite: its step does nothing then."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)


def unscale(optimizer: Optimizer) -> None:
    """Divide the gradients by GradScaler's factor, where a fused optimizer was left to do it in its step."""
    if (scale := getattr(optimizer, "grad_scale", None)) is not None:
        for parameter in parameters(optimizer):
            parameter.grad.div_(scale)
