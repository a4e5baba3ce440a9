"""Rows of parameters and of running statistics that nothing reads for now: a step leaves them as they are."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rigl_nb.masking import optimizers


class Resting:
    """What computes a dead channel: its rows keep their values, and the optimizer's buffers of them their start.

    A gradient of theirs is 0 anyway; weight decay, and momentum of before, are not. Running statistics of a norm move
    in an update's iteration alone, which looks at every channel; so a revived one has some of what it computes by now,
    though little. In between nobody reads them, and the training of the compact network, which is to be the same, has
    none. `modules` are those that compute, by the layer whose mask says which of their rows rest. Parameters that the
    optimizer does not step are left out.
    """

    def __init__(self, optimizer: Optimizer, modules: Mapping[str, Sequence[nn.Module]]):
        group = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
        self.optimizer, self.modules, self.rows = optimizer, modules, {}
        for name, computing in modules.items():
            parameters = [p for module in computing for p in module.parameters(recurse=False) if id(p) in group]
            self.rows[name] = [(p, optimizers.starts(optimizer, group[id(p)], p)) for p in parameters]
        self.dead: dict[str, Tensor] = {}  # written in place, as what follows: a graph reads it there
        self.statistics: dict[str, list[Tensor]] = {}  # as the last update, or whoever loaded some, left them
        self.held: list[tuple[nn.Parameter, Tensor, Tensor]] = []

    def __contains__(self, name: str) -> bool:
        return name in self.rows

    @torch.no_grad()
    def wake(self, name: str, live: Tensor) -> None:
        """Let the rows of all channels rest but those that are live, from where they are now."""
        dead, found = ~live, self._statistics(name, len(live))
        if name not in self.dead:
            self.dead[name], self.statistics[name] = dead, [buffer.clone() for buffer in found]
        self.dead[name].copy_(dead)
        self._take(name)

    def take(self) -> None:
        """Keep running statistics as they are now, whoever wrote them."""
        for name in self.dead:
            self._take(name)

    @torch.no_grad()
    def _take(self, name: str) -> None:
        for kept, buffer in zip(self.statistics[name], self._statistics(name, len(self.dead[name])), strict=True):
            kept.copy_(buffer)

    def follow(self, name: str, device: torch.device) -> None:
        """Go along to where a layer is by now."""
        if name in self.dead:
            self.dead[name] = self.dead[name].to(device)
            self.statistics[name] = [kept.to(device) for kept in self.statistics[name]]

    @torch.no_grad()
    def hold(self) -> None:
        """Remember the values, before the optimizer's step."""
        self.held = [(p, self._of(name, p), p.clone()) for name, rows in self.rows.items() for p, _ in rows]

    @torch.no_grad()
    def restore(self) -> None:
        """Put back what was remembered, and the buffers where they start."""
        for parameter, dead, values in self.held:
            parameter.copy_(torch.where(dead, values, parameter))
        self.held = []
        for name, rows in self.rows.items():
            for parameter, starts in rows:
                for buffer, start in optimizers.buffers(self.optimizer, parameter, starts):
                    buffer.masked_fill_(self._of(name, parameter), start)
        for name, dead in self.dead.items():
            for kept, buffer in zip(self.statistics[name], self._statistics(name, len(dead)), strict=True):
                buffer.copy_(torch.where(dead, kept, buffer))

    def _statistics(self, name: str, channels: int) -> list[Tensor]:
        """The buffers of norms with an entry for each channel: asked for anew, as a move to a device replaces them."""
        buffers = (buffer for module in self.modules[name] for buffer in module.buffers(recurse=False))
        return [buffer for buffer in buffers if buffer.shape == (channels,)]

    def _of(self, name: str, parameter: nn.Parameter) -> Tensor:
        """The dead rows, in the parameter's number of dimensions."""
        return self.dead[name].view(-1, *[1] * (parameter.ndim - 1))
