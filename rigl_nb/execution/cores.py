"""Cores of the CPU: how many this process may use, and how many threads compute."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

SHARES = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")  # of a job, the narrower one first


def usable() -> int:
    """How many cores this process may use: the machine's, its affinity, its cgroup's quota and SLURM's share decide."""
    import joblib  # late: most of half a second

    shares = [int(value) for name in SHARES if (value := os.environ.get(name, "")).isdecimal()]
    return max(1, min([joblib.cpu_count(), *shares[:1]]))


@contextmanager
def computing(threads: int | None) -> Iterator[None]:
    """Compute with so many threads, and leave the process's own number as it was; None: with that number."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
