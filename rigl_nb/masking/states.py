"""The state of a Sparsifier, as somebody hands it in: whether it is one, before anything takes it over."""

import warnings
from collections.abc import Mapping
from numbers import Real

import torch
from torch import Tensor

from rigl_nb import checks


def check(state: object, layers: Mapping[str, object]) -> None:
    """ValueError unless this is what `Sparsifier.state_dict` gave for a model of these layers."""
    checks.kind("state", state, Mapping)
    if lacking := {"masks", "iteration", "generator"} - state.keys():
        raise ValueError(f"the state has no {min(lacking)!r}: it is not what a Sparsifier's state_dict() gave")
    checks.kind("masks", state["masks"], Mapping)
    if state["masks"].keys() != layers.keys():
        raise ValueError(f"masks of {', '.join(map(str, state['masks']))} do not fit layers {', '.join(layers)}")
    checks.at_least("iteration", state["iteration"], 0)
    checks.kind("generator", state["generator"], Tensor)
    if state["generator"].dtype != torch.uint8:
        raise ValueError(f"generator {state['generator'].dtype} is not allowed: it must be bytes, torch.uint8")
    checks.kind("carry", state.get("carry", {}), Mapping)
    for value in state.get("carry", {}).values():
        checks.kind("carry", value, Real)


def generator(state: Mapping, own: torch.Generator) -> torch.Generator:
    """The generator of a state, on the device of our own; of another kind of device, one with other numbers."""
    made = torch.Generator(own.device)
    try:
        return made.set_state(state["generator"].cpu())
    except RuntimeError:
        warnings.warn("random growth goes on from other numbers: the state is of another device", stacklevel=3)
        return made.manual_seed(own.initial_seed() ^ int(state["iteration"]))
