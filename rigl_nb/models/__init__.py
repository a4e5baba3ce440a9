"""The report's networks: Wide ResNet for CIFAR-10, a ResNet-50 for 32×32 images for CIFAR-100; a GRU for text.

Initial weights are drawn by numpy's generator, which gives the same numbers on every machine.
"""

import math
import re

import torch
from numpy.random import Generator
from torch import nn

from rigl_nb.models.convolutional import Bottleneck, Dropout, ResNet, WideResNet
from rigl_nb.models.layers import maskable
from rigl_nb.models.recurrent import TextGRU

__all__ = ["Bottleneck", "Dropout", "build", "check_name", "initialise", "maskable"]

# blocks of each group, channels and stride of the stem; a stem with a stride lets two CPU cores learn 100 classes
RESNETS = {
    "resnet50": ((3, 4, 6, 3), 64, 1),
    "resnet14-8": ((1, 1, 1, 1), 8, 1),
    "resnet14-16": ((1, 1, 1, 1), 16, 2),
}


def build(
    name: str, num_classes: int, width: float = 1, channels: int = 3, dropout: float = 0, rng: Generator | None = None
) -> nn.Module:
    """A network by name, "wrn-<depth>-<widen>", "gru-<state>" or one of `RESNETS`; every width is int(c · width).

    `dropout` sits between the two convolutions of a Wide ResNet block. `rng` draws the initial weights;
    without it they are torch's defaults (to count, not to train).
    """
    check_name(name)
    with torch.random.fork_rng(devices=[]):  # torch's layers draw default weights from the global generator
        if name in RESNETS:
            model = ResNet(*RESNETS[name], num_classes, width, channels)
        elif name.startswith("gru-"):
            model = TextGRU(int(int(name[4:]) * width), num_classes)
        else:
            depth, widen = map(int, name.split("-")[1:])
            model = WideResNet(depth, widen, num_classes, width, channels, dropout)
    return model if rng is None else initialise(model, rng)


def check_name(name: str) -> None:
    """Raise ValueError unless `build` knows the name."""
    wide = re.fullmatch(r"wrn-([1-9]\d*)-([1-9]\d*)", name)
    known = name in RESNETS or re.fullmatch(r"gru-([1-9]\d+)", name)
    if not known and not (wide and int(wide[1]) >= 10 and int(wide[1]) % 6 == 4):
        known = f"{', '.join(RESNETS)}, gru-<state from 10> and wrn-<depth>-<widen> with depth 10, 16, 22, …"
        raise ValueError(f"model {name!r} is unknown: allowed are {known}")


def initialise(model: nn.Module, rng: Generator) -> nn.Module:
    """Draw the weights in place: convolutions normal with variance 2/(k²·c_out), linear uniform ±1/√fan_in, bias 0.

    Embeddings are normal with variance 1, everything of a GRU is uniform ±1/√state.
    """
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.weight.copy_(torch.from_numpy(rng.normal(size=module.weight.shape)))
            for parameter in module.parameters() if isinstance(module, nn.GRU) else ():
                bound = 1 / math.sqrt(module.hidden_size)
                parameter.copy_(torch.from_numpy(rng.uniform(-bound, bound, parameter.shape)))
            if not isinstance(module, nn.Conv2d | nn.Linear):
                continue
            shape = tuple(module.weight.shape)
            if isinstance(module, nn.Linear):
                bound = 1 / math.sqrt(shape[1])
                values = rng.uniform(-bound, bound, shape)
                nn.init.zeros_(module.bias)
            else:
                values = rng.normal(0.0, math.sqrt(2 / (shape[0] * math.prod(shape[2:]))), shape)
            module.weight.copy_(torch.from_numpy(values))
    return model
