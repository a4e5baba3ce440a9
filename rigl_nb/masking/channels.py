"""Hidden channels: computed by one layer, normalised, read by another one and by nothing else."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from torch import nn

from rigl_nb import checks, methods
from rigl_nb.masking.structures import Grouped, Units

READERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
FORM = "groups is a list of tuples of names, [(writer, norm, reader), …]"


@dataclass(frozen=True)
class Hidden:
    """Channels between two layers, by the names of modules."""

    rows: tuple[str, ...]  # what computes them, then norms: every parameter has a row for each channel
    reader: str  # whose weight has a column for each
    channels: int


@dataclass(frozen=True)
class Channel(Grouped):
    """Hidden channels: a unit is the column of the layer that reads channel j, and nothing else is masked.

    What computes a dead channel keeps its values, without gradient, momentum or weight decay. So a candidate's gradient
    is an ordinary one, and growth, from 0, does not change the function. The attribute `hidden_groups` of a block's
    class says which channels are hidden, as in `models.convolutional`, or `groups` does: modules by name, what computes
    the channels first, the norms, what reads them last. One share of all hidden channels is live, such that the weights
    of live rows and columns are `density` of all maskable ones (`cost`, FLOPs by layer: that share of their sum),
    rounded to a `multiple` of channels by largest remainder, at least one; beyond the last multiple a group has all of
    its channels. What no group names stays dense, the residual stream too. A group in `groups` must be trained whole;
    one that a class declares stays dense where a layer of it is excluded or frozen.
    """

    groups: tuple[tuple[str, ...], ...] = ()
    multiple: int = 1
    cost: Mapping[str, float] | None = None
    found: tuple[Hidden, ...] = ()  # set by `on`, like `sizes`
    sizes: Mapping[str, int] = field(default_factory=dict)
    name: ClassVar[str] = "channel"
    uniform: ClassVar[bool] = True
    carries: ClassVar[bool] = True
    dense_first: ClassVar[bool] = False  # the stem is part of the budget, as for Small-Dense

    def __post_init__(self):
        object.__setattr__(self, "groups", named(self.groups))  # which a generator would give once
        if self.cost is not None:
            priced(self.cost)

    def check(self, method: methods.Method, init: object, density: float) -> None:
        """Refuse what the structure cannot have."""
        super().check(method, init, density)
        checks.at_least("multiple", self.multiple, 1)

    def on(self, model: nn.Module, weights: Mapping[str, nn.Parameter]) -> "Channel":
        """The structure with the hidden channels of this model; ValueError where it has none, or they do not fit."""
        groups = self.groups or tuple(declared(model))
        found = [hidden(model, group) for group in groups]
        for names in ([row for group in found for row in group.rows], [group.reader for group in found]):
            if twice := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"groups are not allowed: {twice[0]!r} has channels of two of them on one side")
        sizes = {name: weight.numel() for name, weight in weights.items()}
        if not found:
            way = "give structure=Channel(groups=[(writer, norm, reader), …]), or its blocks' class `hidden_groups`"
            raise ValueError(f"structure channel knows no hidden channels of {type(model).__name__}: {way}")
        dense = {group: why for group in found if (why := untrained(model, group, weights))}
        masked = [group for group in found if group not in dense]
        if dense and (self.groups or not masked):
            group, why = next(iter(dense.items()))
            which = (
                f"group {(*group.rows, group.reader)} is not allowed" if masked or self.groups else "no group is left"
            )
            raise ValueError(f"{which}: {why}")
        if narrow := [group for group in masked if group.channels < self.multiple]:
            why = f"{narrow[0].rows[0]!r} computes {narrow[0].channels} channels"
            raise ValueError(f"multiple {self.multiple} is not allowed: {why}. Take a smaller one")
        return replace(self, found=tuple(masked), sizes=sizes)

    def covered(self, weights: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
        """The weights that read hidden channels."""
        readers = {f"{group.reader}.weight" for group in self.found}
        return {name: weight for name, weight in weights.items() if name in readers}

    def units(self, name: str, shape: tuple[int, ...]) -> Units:
        """A column is a unit; of a linear layer after a flattening, the columns of one channel."""
        channels = next(group.channels for group in self.found if f"{group.reader}.weight" == name)
        sides = (shape[0], channels, math.prod(shape[1:]) // channels)
        return Units(shape, sides, (1, 0, 2), 1, channels)

    def fits(self, count: int) -> bool:
        """One at least: without any, no signal passes."""
        return count > 0

    def shares(self, live: Mapping[str, float]) -> dict[str, float]:
        """What is left of each layer that reads or computes hidden channels, by the live share of each reader's."""
        found = {}
        for group in self.found:
            share = live.get(f"{group.reader}.weight", 1.0)
            for name in (*group.rows, group.reader):
                if f"{name}.weight" in self.sizes:
                    found[f"{name}.weight"] = found.get(f"{name}.weight", 1.0) * share
        return found

    def densities(self, distribution: Callable, shapes: dict[str, tuple[int, ...]], density: float) -> dict[str, float]:
        """The live share of each group's channels: with φ for all, c·φ² + b·φ + rest is the budget."""
        checks.within("density", density, 0, 1, high_closed=True)
        cost = self.sizes if self.cost is None else self.cost
        times = self.shares(dict.fromkeys(shapes, 2.0))  # 2: rows or columns are hidden channels; 4: both are
        if missing := times.keys() - cost.keys():
            raise ValueError(f"cost is not allowed: it has no layer {min(missing)!r}")
        b, c = (math.fsum(cost[name] for name, power in times.items() if power == way) for way in (2, 4))
        total = math.fsum(cost.values())
        left = density * total - (total - b - c)
        if left <= 0:
            least = f"what no hidden channel reads or computes is {1 - (b + c) / total:.3g} of the budget"
            raise ValueError(f"density {density} is not allowed with structure channel: {least}. Take a higher one")
        phi = 2 * left / (b + math.sqrt(b * b + 4 * c * left))
        channels = {f"{group.reader}.weight": group.channels for group in self.found}
        return {name: count / channels[name] for name, count in spread(phi, channels, self.multiple).items()}

    def rows(self, model: nn.Module) -> dict[str, list[nn.Module]]:
        """By reader: the modules of whose parameters and statistics row j rests while channel j is dead."""
        return {f"{group.reader}.weight": [model.get_submodule(row) for row in group.rows] for group in self.found}

    def counts(self, active: Mapping[str, int]) -> dict[str, int]:
        """Weights of live rows and columns, of the layers that read or compute hidden channels: of a compact model.

        While a channel is dead, nothing that computes it is counted, though a masked training does it.
        """
        shares = self.shares({name: count / self.sizes[name] for name, count in active.items()})
        return {name: round(shares[name] * size) for name, size in self.sizes.items() if name in shares}


def named(groups: object) -> tuple[tuple[str, ...], ...]:
    """Groups as tuples of names; ValueError for anything else."""
    if isinstance(groups, str | bytes) or not isinstance(groups, Iterable):
        raise ValueError(f"groups {groups!r} is not allowed: {FORM}")
    found = tuple(groups)
    for group in found:
        if not (isinstance(group, list | tuple) and group and all(isinstance(name, str) for name in group)):
            raise ValueError(f"group {group!r} is not allowed: {FORM}")
    return tuple(map(tuple, found))


def priced(cost: object) -> None:
    """ValueError unless a cost by layer is one: numbers of at least 0, and not 0 alone."""
    if not isinstance(cost, Mapping):
        raise ValueError(f"cost {cost!r} is not allowed: it maps weights by name to numbers, FLOPs say")
    for name, value in cost.items():
        checks.within(f"cost of layer {name!r}", value, 0, math.inf, low_closed=True)
    if cost and not any(cost.values()):
        raise ValueError(f"cost {dict(cost)} is not allowed: some layer must have more than 0")


def spread(share: float, channels: Mapping[str, int], multiple: int) -> dict[str, int]:
    """A share of all groups' channels in steps of `multiple`, at least one; a group's last step may be narrower.

    Each has what its own share holds in whole steps; of larger remainders first, a group gets one more where the sum
    comes closer by it. Without narrower steps that is `distributions.whole`, and the sum floor(Σ + ½) steps.
    """
    quotas = {name: share * count / multiple for name, count in channels.items()}
    steps = {name: math.floor(round(quota, 6)) for name, quota in quotas.items()}
    remainders = {name: round(round(quota, 6) - steps[name], 6) for name, quota in quotas.items()}
    left = round(math.fsum(quotas.values()), 6) - sum(steps.values())
    for name in sorted(quotas, key=remainders.get, reverse=True):  # stable, also in reverse
        size = min(1, channels[name] / multiple - steps[name])
        if size > 0 and round(left - size / 2, 6) >= 0:
            steps[name] += 1
            left -= size
    return {name: min(max(steps[name], 1) * multiple, count) for name, count in channels.items()}


def declared(model: nn.Module) -> list[tuple[str, ...]]:
    """The groups that the classes of a model's blocks name in `hidden_groups`, by full names."""
    blocks = [(path, getattr(type(module), "hidden_groups", ())) for path, module in model.named_modules()]
    return [tuple(f"{path}.{name}".lstrip(".") for name in names) for path, groups in blocks for names in groups]


def layers(model: nn.Module, group: Hidden) -> set[str]:
    """The weights of a group, but those of norms."""
    names = (*group.rows, group.reader)
    return {f"{n}.weight" for n in names if getattr(getattr(model.get_submodule(n), "weight", None), "ndim", 0) > 1}


def untrained(model: nn.Module, group: Hidden, weights: Mapping[str, nn.Parameter]) -> str:
    """Why a group gets no mask: a layer of it is not in `weights`; empty where all are."""
    if not (lacking := layers(model, group) - weights.keys()):
        return ""
    name = min(lacking).removesuffix(".weight")
    called = {module: path for path, module in model.named_modules()}.get(model.get_submodule(name), name)
    if called != name:  # as below the wrapper of torch.compile
        return f"layer {name!r} is called {called!r} in {type(model).__name__}: give that name, or the model unwrapped"
    return f"layer {name!r} is excluded or frozen: a group's layers are all trained under masks, or none"


def hidden(model: nn.Module, names: tuple[str, ...]) -> Hidden:
    """The channels of a group; ValueError where the modules do not fit together."""
    try:
        *rows, reader = [model.get_submodule(name) for name in names]
    except AttributeError as error:
        raise ValueError(f"group {tuple(names)} is not allowed: {error}") from None
    what = f"group {tuple(names)} is not allowed"
    if not rows:
        raise ValueError(f"{what}: name what computes the channels, the norms between, and what reads them")
    for name, end in ((names[0], rows[0]), (names[-1], reader)):
        if not (isinstance(end, READERS) and getattr(end, "groups", 1) == 1):
            raise ValueError(f"{what}: {name!r} must be a linear layer or a convolution of one group")
    channels = len(rows[0].weight)
    if any(p.ndim == 0 or len(p) != channels for row in rows for p in row.parameters(recurse=False)):
        raise ValueError(f"{what}: before the last, every parameter must have a row for each of {channels} channels")
    if any(p is reader.weight for row in rows for p in row.parameters(recurse=False)):
        raise ValueError(f"{what}: {names[-1]!r} reads by a weight that computes too. Its reader must be another layer")
    mixed = [row for row in rows[1:] if getattr(getattr(row, "weight", None), "ndim", 0) > 1]
    if any(getattr(row, "groups", 1) != channels for row in mixed):
        raise ValueError(f"{what}: between its ends stand norms and depthwise convolutions, which mix no channels")
    if reader.weight.shape[1] % channels:
        raise ValueError(
            f"{what}: {reader.weight.shape[1]} inputs of {names[-1]!r} are not those of {channels} channels"
        )
    return Hidden(tuple(names[:-1]), names[-1], channels)
