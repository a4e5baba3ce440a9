"""GPUs: whether torch computes on this machine's, and if not, why."""

import functools
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import torch

LISTING = ("nvidia-smi", "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader")
DRIVER = Path("/dev/nvidiactl")  # of every Linux with NVIDIA's driver
QUEUES, MOST = 8, 32  # of a GPU's hardware: without asking, and at most


def queue(streams: int) -> None:
    """Ask for a hardware queue for each stream: runs that share one wait for each other. In vain once CUDA is open."""
    if streams > QUEUES:
        os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", str(min(streams, MOST)))


def choose() -> str:
    """The device for trainings: `$RIGL_DEVICE`, else the GPU if it computes, else the processor.

    Warns of a GPU that does not compute. Raises ValueError where the device that was asked for does not.
    """
    if asked := os.environ.get("RIGL_DEVICE"):
        if asked.partition(":")[0] not in ("cpu", "cuda", "mps"):
            raise ValueError(f"RIGL_DEVICE {asked!r} is not allowed: name cpu, cuda, cuda:1 or mps, or leave it unset")
        if why := trouble(asked):
            raise ValueError(f"RIGL_DEVICE {asked!r} is not allowed here: {why}")
        return asked
    if not (why := trouble("cuda")):
        return "cuda"
    if listed():
        _warn(why)
    return "cpu"


@functools.cache  # once in a process, wherever it is asked for
def _warn(why: str) -> None:
    warnings.warn(f"training on the processor: {why}", stacklevel=4)


def unused() -> str:
    """Why this machine's NVIDIA GPU would not be used though nobody has said so; "" where it is, or there is none."""
    return "" if os.environ.get("RIGL_DEVICE") or not listed() else trouble("cuda")


def listed() -> tuple[str, ...]:
    """NVIDIA's GPUs as the driver lists them: name, driver, compute capability. None where the user hides them."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return () if hidden else _listed()


@functools.cache
def _listed() -> tuple[str, ...]:
    if program := shutil.which(LISTING[0]):
        try:
            done = subprocess.run([program, *LISTING[1:]], capture_output=True, text=True, timeout=20, check=True)
            rows = [[word.strip() for word in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
            return tuple(f"{row[0]}, driver {row[1]}, compute capability {row[2]}" for row in rows)
        except (OSError, subprocess.SubprocessError, IndexError):
            pass  # an old one knows no compute capability, one without its driver nothing
    return ("an NVIDIA GPU",) if DRIVER.exists() else ()


def trouble(device: str) -> str:
    """Why torch cannot compute on a device, and what to do; "" where it can. One tiny kernel is tried."""
    kind = torch.device(device).type
    if kind == "cpu":
        return ""
    if kind == "mps":
        return _failure(device) if torch.backends.mps.is_available() else "torch sees no GPU of Apple's"
    if torch.cuda.is_available():
        return (why := _failure(device)) and _idle(device, why)
    if not (gpus := listed()):
        return "torch sees no GPU of NVIDIA's"
    return f"{gpus[0]} is there, but CUDA cannot open it: {_closed()}"


@functools.cache
def _failure(device: str) -> str:
    """The first words of what the first kernel says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own words on an old GPU: many lines, and no way out of ours
            torch.ones(1, device=device).add_(1).item()
    except Exception as error:  # whatever class the driver's refusal has
        return said(error)
    return ""


def _idle(device: str, why: str) -> str:
    """A GPU that CUDA opens and that does not compute: too old for this torch's kernels, or for another reason."""
    name, own = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
    built = [int(arch.split("_")[1].rstrip("af")) for arch in torch.cuda.get_arch_list() if arch.startswith("sm_")]
    if 10 * own[0] + own[1] >= (least := min(built, default=0)):
        return f"{name} does not compute: {why}. To train without it, set RIGL_DEVICE=cpu"
    kernels = f"torch {torch.__version__} has kernels from {least // 10}.{least % 10} on"
    way = "install a torch for an older CUDA, or set RIGL_DEVICE=cpu"
    return f"{name} has compute capability {own[0]}.{own[1]}, {kernels}: {way}"


def _closed() -> str:
    """Why CUDA does not start."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} was built without CUDA. Install one with it, or set RIGL_DEVICE=cpu"
    try:
        torch.cuda.init()
        why = "no device is free"
    except Exception as error:
        why = said(error)
    way = f"torch {torch.__version__} needs a driver for CUDA {torch.version.cuda}: update the driver"
    return f"{why}. {way}, install a torch for an older CUDA, or set RIGL_DEVICE=cpu"


def said(error: BaseException) -> str:
    """The first sentence of an error's first line."""
    return str(error).strip().split("\n")[0].split(". ")[0].rstrip(".") or type(error).__name__
