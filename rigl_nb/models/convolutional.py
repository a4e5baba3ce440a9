"""Wide ResNet, and ResNet with bottlenecks, for small images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RESOLUTION = 2**16  # steps of the dropout probability


class Dropout(nn.Module):
    """Dropout from an explicit generator, which `F.dropout` does not take (and several times faster on a CPU)."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None  # set by the training loop; None: torch's global one

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.is_cuda:
            return torch._fused_dropout(x, 1 - self.p, self.generator)[0]  # one kernel; it takes what to keep
        device = x.device if self.generator is None else self.generator.device
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=device)
        bits = bits.random_(-(2**63), None, generator=self.generator).view(torch.int16)  # four numbers of each draw
        noise = bits[: x.numel()].as_strided(x.shape, torch.empty_like(x, device="meta").stride()).to(x.device)
        kept = noise.ge_(round(self.p * RESOLUTION) - RESOLUTION // 2)  # in place: bool's conversion is the slow one
        return x * kept.to(x.dtype).div_(1 - self.p)


class Norm(nn.BatchNorm2d):
    """Batch norm that leaves its count of batches at 0: nobody reads it, and it is a kernel of every layer."""

    def forward(self, x: Tensor) -> Tensor:
        statistics = (self.running_mean, self.running_var)
        return F.batch_norm(x, *statistics, self.weight, self.bias, self.training, self.momentum, self.eps)


class Shortcut(nn.Conv2d):
    """1×1 convolution with a stride; on a CPU one of stride 1 over the pixels that it looks at: the same numbers.

    There, with AVX2, oneDNN's gradient of the weights of the strided one writes past its workspace where memory is
    channels-last and there are less than 8 input channels, as in Small-Dense networks (its issue 6035, open in
    version 3.13): the process dies, or learns from wrong gradients.
    """

    def __init__(self, c_in: int, c_out: int, every: int):
        super().__init__(c_in, c_out, 1, bias=False)
        self.every = every

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return F.conv2d(x, self.weight, stride=self.every)  # no copy of the pixels, no gradient of it
        return super().forward(x[..., :: self.every, :: self.every])


class WideBlock(nn.Module):
    """Pre-activation residual block: two 3×3 convolutions with dropout between them (Zagoruyko & Komodakis)."""

    hidden_groups = (("conv1", "bn2", "conv2"),)  # channels that only this block sees: computed, normalised, read

    def __init__(self, c_in: int, c_out: int, stride: int, dropout: float):
        super().__init__()
        self.bn1 = Norm(c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn2 = Norm(c_out)
        self.dropout = Dropout(dropout)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.shortcut = None
        if stride != 1 or c_in != c_out:
            self.shortcut = Shortcut(c_in, c_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(x).relu()
        skip = x if self.shortcut is None else self.shortcut(out)
        out = self.conv1(out)
        return skip + self.conv2(self.dropout(self.bn2(out).relu()))


class WideResNet(nn.Module):
    """Wide ResNet of depth 6n + 4: three groups of n blocks with 16, 32, 64 channels times the widening factor."""

    def __init__(self, depth: int, widen: int, num_classes: int, width: float, channels: int, dropout: float):
        super().__init__()
        c = [int(base * width) for base in (16, 16 * widen, 32 * widen, 64 * widen)]
        n = (depth - 4) // 6
        self.conv1 = nn.Conv2d(channels, c[0], 3, 1, 1, bias=False)
        places = [(c[g + (i > 0)], c[g + 1], 2 if g and i == 0 else 1) for g in range(3) for i in range(n)]
        self.blocks = nn.Sequential(*(WideBlock(*place, dropout) for place in places))
        self.bn = Norm(c[3])
        self.fc = nn.Linear(c[3], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.blocks(self.conv1(x))).relu()
        return self.fc(x.mean((2, 3)))


class Bottleneck(nn.Module):
    """Residual block 1×1, 3×3, 1×1; the stride is in the 3×3; the last batch norm starts at 0 (He et al. 2019)."""

    hidden_groups = (("conv1", "bn1", "conv2"), ("conv2", "bn2", "conv3"))

    def __init__(self, c_in: int, c: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, c, 1, bias=False), Norm(c)
        self.conv2, self.bn2 = nn.Conv2d(c, c, 3, stride, 1, bias=False), Norm(c)
        self.conv3, self.bn3 = nn.Conv2d(c, 4 * c, 1, bias=False), Norm(4 * c)
        self.shortcut = None
        if stride != 1 or c_in != 4 * c:
            self.shortcut = nn.Sequential(Shortcut(c_in, 4 * c, stride), Norm(4 * c))
        nn.init.zeros_(self.bn3.weight)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.conv1(x)).relu()
        out = self.bn2(self.conv2(out)).relu()
        skip = x if self.shortcut is None else self.shortcut(x)
        return (self.bn3(self.conv3(out)) + skip).relu()


class ResNet(nn.Module):
    """Bottleneck ResNet for small images: one 3×3 stem of `base` channels, no max-pooling."""

    def __init__(self, blocks: tuple[int, ...], base: int, stride: int, num_classes: int, width: float, channels: int):
        super().__init__()
        c_in = int(base * width)
        self.conv1, self.bn1 = nn.Conv2d(channels, c_in, 3, stride, 1, bias=False), Norm(c_in)
        layers = []
        for group, n in enumerate(blocks):
            c = int(base * 2**group * width)
            for i in range(n):
                layers.append(Bottleneck(c_in, c, 2 if group and i == 0 else 1))
                c_in = 4 * c
        self.blocks = nn.Sequential(*layers)
        self.fc = nn.Linear(c_in, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.bn1(self.conv1(x)).relu())
        return self.fc(x.mean((2, 3)))
