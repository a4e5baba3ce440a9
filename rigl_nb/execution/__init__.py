"""How a run is carried out: recorded with it, but the same run whatever it says."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from rigl_nb import checks
from rigl_nb.execution import devices

KINDS = ("cpu", "cuda", "mps")


@dataclass(frozen=True)
class Execution:
    """Device, precision and company of a training."""

    device: str = "cpu"  # cpu, cuda, cuda:1 or, of Apple's GPUs, mps
    precision: str = "bf16"  # of activations, under autocast; weights, masks and updates are float32
    channels_last: bool = True
    threads: int | None = None  # of the CPU; None: torch's own number, which a record then names
    graph: bool = False  # replay iterations as CUDA graphs
    sharing: int = 1  # runs that take turns on the device, in one process or in several
    tf32: bool | None = None  # may cuDNN round float32 to TF32? None: as torch is set, which a record then names
    compact: bool = False  # train live channels alone between updates; under dropout, from other random numbers

    def __post_init__(self):
        checks.choice("precision", self.precision, ("bf16", "fp32"))
        checks.choice("device", self.kind, KINDS)
        for name in ("threads", "sharing"):
            if isinstance(number := getattr(self, name), np.integer):
                object.__setattr__(self, name, int(number))  # a record is JSON, which does not know numpy's
        checks.at_least("sharing", self.sharing, 1)
        if self.threads is not None:
            checks.at_least("threads", self.threads, 1)
        if self.graph and self.kind != "cuda":
            raise ValueError(f"graph True is not allowed on device {self.device!r}: CUDA graphs need a CUDA device")
        if self.graph and self.compact:
            raise ValueError("compact True is not allowed with graph True, which replays tensors of one size: drop one")
        if self.kind == "mps" and self.precision != "fp32":
            raise ValueError(f"precision {self.precision!r} is not allowed on device 'mps': take fp32")
        if self.tf32 is not None and self.kind != "cuda":
            raise ValueError(f"tf32 {self.tf32} is not allowed on device {self.device!r}: leave it out")

    @property
    def kind(self) -> str:
        """The device without its number."""
        return self.device.partition(":")[0]

    @classmethod
    def best(cls, threads: int | None = None, sharing: int = 1, compact: bool = False) -> "Execution":
        """What suits this machine: its GPU where torch computes on it; bf16 only where the device does in hardware.

        `$RIGL_DEVICE` names another device; Apple's GPUs are used only so. ValueError where torch cannot use that one.
        """
        devices.queue(sharing)
        device = devices.choose()
        how = cls(device, "fp32", threads=threads, sharing=sharing, compact=compact)
        if how.kind == "mps":
            return replace(how, channels_last=False)
        native = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if how.kind == "cuda"
            else torch.cpu.get_capabilities().get("avx512_bf16", False)
        )
        return replace(how, precision="bf16" if native else "fp32", graph=how.kind == "cuda" and not compact)
