"""A compact network leaves Python: ONNX in onnxruntime and torch's own program compute what it does."""

import importlib.util

import numpy as np
import pytest
import torch
from test_compact import network_of, sparse
from torch import nn

from rigl_nb.compact import compact
from rigl_nb.deploy.export import export

WHY = "needs tests/deploy.lock: pip install --no-deps -r tests/deploy.lock"


@pytest.fixture(scope="module", params=[("wrn-10-1", 0.2), ("resnet14-8", 0.5)], ids=lambda network: network[0])
def small(request):
    """A compact network in single precision, in training mode, with dropout, in channels-last memory."""
    net = network_of(request.param[0])
    made = compact(net, sparse(net, request.param[1])).float().to(memory_format=torch.channels_last)
    if request.param[0].startswith("wrn"):
        made.blocks[0].dropout.p = 0.5
    return made.train()


def batches():
    """Sizes that the example did not have."""
    stream = torch.Generator().manual_seed(0)
    return [torch.randn(n, 3, 16, 16, generator=stream) for n in (1, 2, 7)]


def outputs(model, x):
    twin = torch.no_grad()(model.eval())
    found = twin(x).numpy()
    model.train()
    assert found.std() > 1e-2
    return found


def test_onnx_runs_without_torch(small, tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=WHY)
    import onnxruntime

    file = export(small, torch.zeros(1, 3, 16, 16), tmp_path / "there" / "small.onnx")
    assert small.training and list(file.parent.iterdir()) == [file], "one file"
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (given,), (told,) = session.get_inputs(), session.get_outputs()
    assert given.shape == ["batch", 3, 16, 16] and told.shape == ["batch", 5]
    for x in batches():
        found = session.run(None, {given.name: x.numpy()})[0]
        np.testing.assert_allclose(found, outputs(small, x), rtol=1e-4, atol=1e-5)


def test_a_program_of_torch_runs_without_the_project(small, tmp_path):
    file = export(small, torch.zeros(1, 3, 16, 16), str(tmp_path / "small.pt2"))
    program = torch.export.load(file)
    assert small.training and not any("rigl_nb" in str(node.target) for node in program.graph.nodes)
    for x in batches():
        found = program.module()(x).detach().numpy()
        np.testing.assert_allclose(found, outputs(small, x), rtol=1e-5, atol=1e-6)
    with pytest.raises(Exception, match="16"):
        program.module()(torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize("absent", [("onnx",), ("onnxscript",), ("onnx", "onnxscript")])
def test_a_missing_package_is_named_with_the_way_out(absent, monkeypatch, tmp_path):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else name or there(name))
    words = rf"small\.onnx needs {' and '.join(absent)}: install them by pip install 'rigl_nb\[export\]'"
    with pytest.raises(ValueError, match=words):
        export(nn.Linear(2, 2), torch.zeros(1, 2), tmp_path / "small.onnx")
    assert export(nn.Linear(2, 2), torch.zeros(1, 2), tmp_path / "small.pt2").exists(), "torch needs none of them"


class Fixed(nn.Module):
    def forward(self, x):
        return x.view(2, -1)


class Choosing(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_what_has_no_export_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"the ending '\.pth'.*\.onnx.*\.pt2"):
        export(nn.Linear(2, 2), torch.zeros(1, 2), tmp_path / "small.pth")
    with pytest.raises(ValueError, match="example tuple is not allowed: it must be a Tensor"):
        export(nn.Linear(2, 2), (1, 2), tmp_path / "small.pt2")
    for model in (Fixed(), Choosing()):
        with pytest.raises(ValueError, match=f"model {type(model).__name__} has no export: [^\n]+$"):
            export(model, torch.zeros(3, 2), tmp_path / "small.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(), (0,), (0, 2)])
def test_an_example_of_no_item_is_named(shape, tmp_path):
    with pytest.raises(
        ValueError, match=r"example of shape \(.*\) is not allowed: .* batch .* at least one item"
    ) as told:
        export(nn.Linear(2, 2), torch.zeros(shape), tmp_path / "small.pt2")
    assert f"{shape}" in str(told.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [5, None, b"small.pt2"])
def test_a_path_of_another_type_is_named(path):
    with pytest.raises(ValueError, match=f"path {path!r} is not allowed: it must be a str or a Path"):
        export(nn.Linear(2, 2), torch.zeros(1, 2), path)
