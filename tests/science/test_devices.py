"""Which device trains, and what is said of a GPU that cannot; machines are simulated."""

import subprocess
import sys
import warnings

import gpus
import pytest
import torch

from rigl_nb import paths, rng
from rigl_nb.execution import Execution, devices

OLD = "NVIDIA GeForce GTX 1080 has compute capability 6.1, torch .* has kernels from 7.5 on"


def best() -> tuple[Execution, list[str]]:
    """Return what suits the machine, and what is said of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return Execution.best(), [str(one.message) for one in caught]


def test_no_gpu_is_nothing_to_speak_of(monkeypatch):
    gpus.none(monkeypatch)
    found, said = best()
    assert (found.device, found.graph, said, devices.unused()) == ("cpu", False, [], "")


def test_a_gpu_that_computes_is_used(monkeypatch):
    gpus.computing(monkeypatch)
    found, said = best()
    assert (found.device, found.precision, found.graph, said) == ("cuda", "bf16", True, [])


def test_a_gpu_without_kernels_is_not_used_and_says_why(monkeypatch):
    gpus.too_old(monkeypatch)
    found, said = best()
    assert found.device == "cpu" and not found.graph and len(said) == 1
    with pytest.raises(AssertionError, match=OLD):
        raise AssertionError(said[0])
    assert "install a torch for an older CUDA, or set RIGL_DEVICE=cpu" in said[0]
    assert best()[1] == [], "once"


def test_a_gpu_that_is_taken_says_what_its_first_kernel_said(monkeypatch):
    gpus.too_old(monkeypatch)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert "does not compute: CUDA error: no kernel image is available" in devices.trouble("cuda")
    assert "Search" not in devices.trouble("cuda") and "RIGL_DEVICE=cpu" in devices.trouble("cuda")


def test_a_driver_that_is_too_old_is_named_with_the_ways_out(monkeypatch):
    gpus.old_driver(monkeypatch)
    found, said = best()
    assert found.device == "cpu" and len(said) == 1
    for words in (gpus.OLD_DRIVER, "too old (found version 11000)", "needs a driver for CUDA 13.2", "RIGL_DEVICE=cpu"):
        assert words in said[0]


def test_a_torch_without_cuda_is_named(monkeypatch):
    gpus.old_driver(monkeypatch)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "was built without CUDA. Install one with it" in devices.trouble("cuda")


def test_who_hides_the_gpu_or_names_the_cpu_hears_nothing(monkeypatch):
    gpus.old_driver(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert best()[1] == [] and not devices.unused()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("RIGL_DEVICE", "cpu")
    found, said = best()
    assert found.device == "cpu" and said == [] and not devices.unused()


def test_a_device_that_is_asked_for_must_compute(monkeypatch):
    gpus.too_old(monkeypatch)
    monkeypatch.setenv("RIGL_DEVICE", "cuda:1")
    with pytest.raises(ValueError, match=f"RIGL_DEVICE 'cuda:1' is not allowed here: {OLD}"):
        Execution.best()
    gpus.none(monkeypatch)
    monkeypatch.setenv("RIGL_DEVICE", "mps")
    with pytest.raises(ValueError, match="RIGL_DEVICE 'mps' is not allowed here: torch sees no GPU of Apple's"):
        Execution.best()


def test_the_driver_is_asked_what_there_is(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA A100-SXM4-40GB, 570.86.10, 8.0'\necho 'NVIDIA A100, 570.86.10, 8.0'\n")
    program.chmod(0o755)
    monkeypatch.setattr(devices.shutil, "which", lambda name: str(program))
    listed = devices._listed.__wrapped__
    assert listed()[0] == "NVIDIA A100-SXM4-40GB, driver 570.86.10, compute capability 8.0" and len(listed()) == 2
    program.write_text("#!/bin/sh\nexit 9\n")
    assert listed() == () or devices.DRIVER.exists()
    monkeypatch.setattr(devices, "DRIVER", program)
    assert listed() == ("an NVIDIA GPU",)


def test_apples_gpu_trains_in_float32_one_operation_after_the_other(monkeypatch):
    gpus.none(monkeypatch)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(devices, "_failure", lambda device: "")
    assert best()[0].device == "cpu", "nobody has compared its numbers: it must be asked for"
    monkeypatch.setenv("RIGL_DEVICE", "mps")
    assert best()[0] == Execution("mps", "fp32", channels_last=False)
    with pytest.raises(ValueError, match="precision 'bf16' is not allowed on device 'mps': take fp32"):
        Execution("mps")
    with pytest.raises(ValueError, match="graph True is not allowed on device 'mps'"):
        Execution("mps", "fp32", graph=True)
    with pytest.raises(ValueError, match="device 'tpu' is unknown: allowed are cpu, cuda, mps"):
        Execution("tpu")


def test_a_kind_of_device_without_generators_draws_on_the_cpu():
    assert rng.torch_generator(0, "growth", device="meta").device.type == "cpu"
    assert torch.equal(
        torch.rand(3, generator=rng.torch_generator(0, "growth", device="meta")),
        torch.rand(3, generator=rng.torch_generator(0, "growth")),
    )


def test_what_the_server_that_forks_has_imported_opens_no_cuda():
    """A process that is forked from one with CUDA cannot use it."""
    code = "import torch\nasked = []\n"
    code += "for name in ('_cuda_init', '_cuda_getDeviceCount'):\n"
    code += "    plain = getattr(torch._C, name)\n"
    code += "    setattr(torch._C, name, lambda *a, plain=plain, name=name: (asked.append(name), plain(*a))[1])\n"
    code += "import importlib\nfrom rigl_nb.runs import workers\n"
    code += "for name in workers.NEEDED:\n    try: importlib.import_module(name)\n    except ImportError: pass\n"
    code += "print(asked, torch.cuda.is_initialized())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=paths.ROOT)
    assert done.stdout.split("\n")[0] == "[] False"


def test_a_device_that_nobody_knows_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setenv("RIGL_DEVICE", "nonsense")
    with pytest.raises(ValueError, match=r"RIGL_DEVICE 'nonsense' is not allowed: name cpu, cuda"):
        devices.choose()


@pytest.mark.parametrize(
    ("runs", "given", "queues"), [(8, None, None), (9, None, "9"), (64, None, "32"), (9, "1", "1")]
)
def test_more_streams_than_usual_get_queues_before_cuda_opens(monkeypatch, runs, given, queues):
    """What the user has set stays; a queue that is asked for after CUDA is open would not come."""
    name, seen = "CUDA_DEVICE_MAX_CONNECTIONS", []
    monkeypatch.setenv(name, given or "")
    if given is None:
        monkeypatch.delenv(name)
    monkeypatch.setattr(devices, "choose", lambda: seen.append(devices.os.environ.get(name)) or "cpu")
    Execution.best(sharing=runs)
    assert seen == [queues]
