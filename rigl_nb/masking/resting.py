"""Rows of parameters that nothing reads for now: an optimizer's step leaves them as they are."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rigl_nb.masking import optimizers


class Resting:
    """What computes a dead channel: its rows keep their values, and the optimizer's buffers of them their start.

    A gradient of theirs is 0 anyway; weight decay, and momentum of before, are not. `rows` are the parameters by the
    layer whose mask says which of them rest. Those that the optimizer does not step are left out.
    """

    def __init__(self, optimizer: Optimizer, rows: Mapping[str, Sequence[nn.Parameter]]):
        group = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
        self.optimizer, self.rows = optimizer, {}
        for name, parameters in rows.items():
            stepped = [(p, optimizers.starts(optimizer, group[id(p)], p)) for p in parameters if id(p) in group]
            self.rows[name] = stepped
        self.dead: dict[str, Tensor] = {}  # written in place: a graph reads it there
        self.held: list[tuple[nn.Parameter, Tensor, Tensor]] = []

    def __contains__(self, name: str) -> bool:
        return name in self.rows

    def wake(self, name: str, live: Tensor) -> None:
        """Let the rows of all channels rest but those that are live."""
        dead = ~live
        self.dead[name] = self.dead[name].copy_(dead) if name in self.dead else dead

    def follow(self, name: str, device: torch.device) -> None:
        """Go along to where a layer is by now."""
        if name in self.dead:
            self.dead[name] = self.dead[name].to(device)

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

    def _of(self, name: str, parameter: nn.Parameter) -> Tensor:
        """The dead rows, in the parameter's number of dimensions."""
        return self.dead[name].view(-1, *[1] * (parameter.ndim - 1))
