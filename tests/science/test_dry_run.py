"""A whole iteration on a GPU that only knows shapes: devices do not mix, and the host waits only where it must."""

from collections import Counter
from unittest import mock

import pytest
import torch
from machine import machine

from rigl_nb import data, rng, train
from rigl_nb.execution import Execution
from rigl_nb.iteration import iteration, prepare
from rigl_nb.models.convolutional import Dropout, Shortcut
from rigl_nb.spec import RunSpec

WAITS = ("SNFS", "RigL-SM", "Pruning")  # whose updates read a number of each layer: shares, or counts


def spec(method, **fields):
    """Return a run on CIFAR whose second iteration updates the masks."""
    moving = {"delta_t": 2} if method not in ("Dense", "Static") else {}
    start = {"prune_start": 1} if method == "Pruning" else {"init": "ERK"} if method != "Dense" else {}
    sparse = {"density": 0.1} if method != "Dense" else {}
    return RunSpec(method=method, **({"model": "wrn-10-1"} | moving | start | sparse | fields))


def made_up(name: str, device: str) -> data.Dataset:
    """Return a data set of few rows on the device."""
    source = data.SOURCES[name]
    shape = (300, *source.shape) if source.text else (300, *source.shape[1:], source.shape[0])
    labels = torch.zeros(shape if source.text else 300, dtype=torch.int64)
    images = data.Images(torch.zeros(shape, dtype=torch.uint8), labels).to(device)
    return data.Dataset(source, images, images)


def started(mode, run, execution, rows=(), steps=2):
    """Return (parts, data set, what each of the iterations started, what it waited for)."""
    parts, dataset = prepare(run, execution), made_up(run.data, execution.device)
    iterate = iteration(run, execution, parts, dataset.source, dataset.train)
    kernels, waits = [], []
    for step in range(steps):
        order = torch.arange(dict(enumerate(rows)).get(step, run.batch_size), device=execution.device)
        mode.kernels, mode.waits = [], []
        iterate(order)
        kernels.append(mode.kernels)
        waits.append(mode.waits)
    return parts, dataset, kernels, waits


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["Dense", "Static", "RigL", "SET", "SNFS", "RigL-SM", "Pruning"])
def test_an_iteration_stays_on_the_device(method, precision):
    with machine("cuda") as mode:
        parts, _, kernels, waits = started(mode, spec(method), Execution("cuda", precision), rows=(37,))
        layers = len(parts.sparsifier.masks)
        assert waits == [[], ["_local_scalar_dense"] * (layers if method in WAITS else 0)]
        assert any("sgd" in name for name in kernels[0])
        moves = method not in ("Dense", "Static")
        assert any("sgd" in name for name in kernels[1]) is not moves and ("sort" in kernels[1]) is moves
        assert all(weight.is_cuda and weight.grad.is_cuda for weight in parts.model.parameters())
        assert (kernels[0].count("_to_copy") > 10) is (precision == "bf16"), "autocast was at work"


def test_the_bottleneck_network_stays_on_the_device():
    with machine("cuda") as mode:
        run = spec("RigL", model="resnet14-8", data="cifar100")
        assert started(mode, run, Execution("cuda", "fp32"))[-1] == [[], []]


def test_an_evaluation_waits_once_for_all_batches():
    with machine("cuda") as mode:
        execution = Execution("cuda", "bf16")
        parts, dataset = prepare(spec("RigL"), execution), made_up("cifar10", "cuda")
        mode.waits = []
        scores = train.evaluate(parts.model, dataset.test, dataset, execution)
        assert mode.waits == ["to the host"] and scores["accuracy"] == 0


def test_a_snapshot_waits_for_its_own_device():
    with machine("cuda:1") as mode:
        execution = Execution("cuda:1", "fp32")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(data, "load", lambda name, device: made_up(name, device))
            patch.setattr(data, "split", lambda images, validation: (images, images))
            patch.setattr(train, "evaluate", lambda *_: {})
            progress = next(train._train(spec("RigL"), execution, None, None))
        mode.waits = []
        progress.snapshot()
        assert mode.waits == ["for cuda:1"]


def test_a_device_without_generators_gets_numbers_from_the_cpu():
    """Drawn there, then moved: in augmentation, dropout as it is without CUDA, and SET's growth."""
    with machine("cuda") as mode:
        run, execution, own = spec("SET", delta_t=1), Execution("cuda", "fp32"), torch.Generator()
        with mock.patch.object(rng, "torch_generator", lambda *_, **__: own):
            parts, _, _, waits = started(mode, run, execution, steps=1)
        assert waits == [[]] and set(parts.generators.values()) == {own} == {parts.sparsifier.generator}


# ---- what an iteration starts


def test_dropout_is_one_kernel_and_so_is_its_gradient():
    with machine("cuda") as mode:
        layer, x = Dropout(0.3), torch.ones(8, 4, device="cuda", requires_grad=True)
        layer.generator = torch.Generator()
        mode.kernels = []
        loss = layer(x)
        assert mode.kernels == ["_fused_dropout"]
        mode.kernels = []
        loss.grad_fn(torch.ones_like(loss))
        assert mode.kernels == ["ones_like", "_masked_scale"]


def test_a_shortcut_is_one_kernel_and_so_is_its_gradient():
    with machine("cuda") as mode:
        layer, x = Shortcut(16, 32, 2).to("cuda"), torch.ones(8, 16, 32, 32, device="cuda", requires_grad=True)
        mode.kernels = []
        out = layer(x)
        assert mode.kernels == ["convolution"] and out.shape == (8, 32, 16, 16)
        mode.kernels = []
        out.sum().backward()
        assert "convolution_backward" in mode.kernels and "slice_backward" not in mode.kernels


def test_an_iteration_inverts_no_mask_and_counts_no_batches():
    """Wide ResNet 22-2 in bfloat16: about 320 kernels, of which 69 keep the masks."""
    with machine("cuda") as mode:
        parts, _, kernels, _ = started(mode, spec("Static", model="wrn-22-2"), Execution("cuda", "bf16"))
        found, layers = Counter(kernels[1]), len(parts.sparsifier.masks)
        assert found["masked_fill_"] == 3 * layers == 69 and found["add_"] == 1 and len(kernels[1]) < 340
        assert not {"bitwise_not", "logical_not", "random_", "slice_backward"} & found.keys()
