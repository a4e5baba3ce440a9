"""Independent random generators: one for each (seed, stream); nothing draws from a global one."""

import hashlib

import numpy as np
import torch


def numpy_generator(seed: int, *stream: str | int) -> np.random.Generator:
    """Generator of what must be equal on every machine: initial weights, first masks, batch order."""
    return np.random.default_rng(_entropy(seed, stream))


def torch_generator(seed: int, *stream: str | int, device: str | torch.device = "cpu") -> torch.Generator:
    """Generator of what is drawn on the run's device: growth, augmentation, dropout.

    On the CPU where torch has none for the device: who draws does so on the generator's device, and moves the numbers.
    """
    return on(device).manual_seed(_entropy(seed, stream) % 2**63)


def on(device: str | torch.device) -> torch.Generator:
    """A generator on the device, or on the CPU where torch has none for its kind."""
    try:
        return torch.Generator(device)
    except RuntimeError:
        if torch.device(device).type == "cuda":  # which has one: this is another trouble
            raise
        return torch.Generator()


def _entropy(seed: int, stream: tuple[str | int, ...]) -> int:
    digest = hashlib.sha256(repr((int(seed), *stream)).encode()).digest()
    return int.from_bytes(digest[:16], "big")
