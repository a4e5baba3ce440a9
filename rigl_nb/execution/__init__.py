"""How a run is carried out: recorded with it, but the same run whatever it says."""

from dataclasses import dataclass

import numpy as np
import torch

from rigl_nb import checks


@dataclass(frozen=True)
class Execution:
    """Device, precision and company of a training."""

    device: str = "cpu"  # cpu, cuda or cuda:1
    precision: str = "bf16"  # of activations, under autocast; weights, masks and updates are float32
    channels_last: bool = True
    threads: int | None = None  # of the CPU; None: torch's own number, which a record then names
    graph: bool = False  # replay iterations as CUDA graphs
    sharing: int = 1  # runs that take turns on the device

    def __post_init__(self):
        checks.choice("precision", self.precision, ("bf16", "fp32"))
        for name in ("threads", "sharing"):
            if isinstance(number := getattr(self, name), np.integer):
                object.__setattr__(self, name, int(number))  # a record is JSON, which does not know numpy's
        checks.at_least("sharing", self.sharing, 1)
        if self.threads is not None:
            checks.at_least("threads", self.threads, 1)
        if self.graph and not self.device.startswith("cuda"):
            raise ValueError(f"graph True is not allowed on device {self.device!r}: CUDA graphs need a CUDA device")

    @classmethod
    def best(cls, threads: int | None = None, sharing: int = 1) -> "Execution":
        """What suits this machine: its GPU where it has one; bf16 only where the processor computes in it."""
        gpu = torch.cuda.is_available()
        native = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if gpu
            else torch.cpu.get_capabilities().get("avx512_bf16", False)
        )
        precision = "bf16" if native else "fp32"
        return cls("cuda" if gpu else "cpu", precision, threads=threads, graph=gpu, sharing=sharing)
