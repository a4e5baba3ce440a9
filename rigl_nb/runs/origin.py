"""Where a run is made: versions, hardware, and the commit of the code."""

import functools
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata

from rigl_nb import paths
from rigl_nb.execution import cores
from rigl_nb.runs.terminal import count


@functools.cache
def provenance(device: str) -> dict:
    """Versions, hardware, commit and date of this process, taken once: the code that it runs is that commit's."""
    commit, dirty = _commit()
    return {
        "commit": commit,
        "dirty": dirty,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "hardware": hardware(device),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("torch", "numpy")},
        "system": platform.system(),
    }


def hardware(device: str) -> str:
    """The accelerator's or the processor's name, with the cores that this process may use."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return f"{processor()}, {'its GPU' if device == 'mps' else count(cores.usable(), 'core')}"


def processor() -> str:
    """The processor's name."""
    name = platform.processor() or platform.machine()
    try:
        if platform.system() == "Darwin":
            asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    except (OSError, subprocess.CalledProcessError):
        return name  # the platform's own word has to do


def has(commit: str) -> bool:
    """Whether the repository of this package has the commit; True where there is no git to ask."""
    try:
        _own()
    except (OSError, subprocess.CalledProcessError):
        return True
    try:
        return _git("cat-file", "-t", commit) == "commit"
    except subprocess.CalledProcessError:
        return False


def _commit() -> tuple[str | None, bool | None]:
    try:
        _own()
        return _git("rev-parse", "HEAD"), bool(_git("status", "--porcelain", "--", "rigl_nb"))
    except (OSError, subprocess.CalledProcessError):
        commit = os.environ.get("RIGL_COMMIT")  # a copy without git: its maker says what it is a copy of
        return commit, False if commit else None


def _own() -> None:
    """Raise where the package is not tracked: the repository around a copy says nothing of it."""
    _git("ls-files", "--error-unmatch", "rigl_nb")


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", paths.ROOT, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()
