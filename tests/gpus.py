"""Machines with GPUs that torch cannot use, simulated."""

import functools

import torch

from rigl_nb.execution import devices

OLD_CARD = "NVIDIA GeForce GTX 1080, driver 580.65.06, compute capability 6.1"
OLD_DRIVER = "NVIDIA GeForce RTX 2080 Ti, driver 450.80.02, compute capability 7.5"


def too_old(monkeypatch) -> None:
    """Have a GPU that the wheel has no kernels for."""
    _listed(monkeypatch, OLD_CARD)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA GeForce GTX 1080")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_90a", "compute_90"])
    _first_kernel(monkeypatch, "CUDA error: no kernel image is available for execution on the device\nSearch for…")


def old_driver(monkeypatch) -> None:
    """Have a GPU whose driver is older than the wheel's CUDA."""
    _listed(monkeypatch, OLD_DRIVER)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.2")

    def init():
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11000). Please update your GPU")

    monkeypatch.setattr(torch.cuda, "init", init)


def computing(monkeypatch) -> None:
    """Have a GPU whose first kernel runs."""
    _listed(monkeypatch, "NVIDIA H100, driver 580.65.06, compute capability 9.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(devices, "_failure", lambda device: "")


def none(monkeypatch) -> None:
    """Have no GPU."""
    devices._warn.cache_clear()
    monkeypatch.delenv("RIGL_DEVICE", raising=False)
    monkeypatch.setattr(devices, "_listed", lambda: ())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", functools.cache(lambda: False))  # torch unwraps it


def _listed(monkeypatch, card) -> None:
    none(monkeypatch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "_listed", lambda: (card,))


def _first_kernel(monkeypatch, words) -> None:
    plain = torch.ones

    def ones(*shape, device=None, **how):
        if str(device or "cpu") == "cpu":
            return plain(*shape, **how)
        raise RuntimeError(words)

    devices._failure.cache_clear()
    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr(devices, "_failure", devices._failure.__wrapped__)
