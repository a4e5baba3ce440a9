"""Private names of other packages: where ours uses them, and that they still are what we take them for."""

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest

from rigl_nb import paths

FILES = sorted((paths.ROOT / "rigl_nb").rglob("*.py"))
FENCED = {  # name, and the one file that may use it
    "_python_dispatch": "models/products.py",
    "_forward_hooks": "models/products.py",
    "_forward_pre_hooks": "models/products.py",
    "_buffers": "models/products.py",
    "_modules": "models/products.py",
    "_getframe": "masking/optimizers.py",
    "_version": "masking/optimizers.py",
    "_forkserver": "runs/workers.py",
    "_forkserver_address": "runs/workers.py",
    "_reply_subshell_id": "report/figures/live.py",
    "_should_skip_dynamo": "models/products.py",
    "_fused_dropout": "models/convolutional.py",
}


def foreign(file):
    """Names with one underscore that a file reads from things which are not its own, also as words for `getattr`."""
    tree = ast.parse(file.read_text())
    own = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    own |= {word for other in FILES for word in re.findall(r"(?:def|self\.|^)(_[a-z]\w*)", other.read_text(), re.M)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr) and node.attr not in own:
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("rigl_nb"):
            yield from (part for part in (node.module or "").split(".") if re.match(r"_[a-z]", part))
        elif isinstance(node, ast.Constant) and node.value in FENCED:
            yield node.value


def test_each_is_used_in_one_place():
    places = {(name, file.relative_to(paths.ROOT / "rigl_nb").as_posix()) for file in FILES for name in foreign(file)}
    assert places - {("_should_skip_dynamo", "models/products.py")} <= set(FENCED.items())
    assert {name for name, _ in places} >= set(FENCED) - {"_should_skip_dynamo"}, "this fence guards nothing"


def test_python_has_one_server_that_forks():
    from multiprocessing import forkserver

    server = forkserver._forkserver
    assert hasattr(server, "_forkserver_address") and callable(server.ensure_running)
    assert forkserver.ensure_running == server.ensure_running  # what starts processes asks this very object
    assert callable(sys._getframe)


def test_torch_keeps_hooks_and_parts_under_these_names():
    from torch import nn
    from torch.utils._python_dispatch import TorchDispatchMode

    module = nn.Sequential(nn.BatchNorm1d(2))
    handle = module.register_forward_hook(lambda *_: None)
    module.register_forward_pre_hook(lambda *_: None)
    assert handle.id in module._forward_hooks and len(module._forward_pre_hooks) == 1
    assert module._modules["0"] is module[0] and "running_mean" in module[0]._buffers
    assert TorchDispatchMode._should_skip_dynamo() in (True, False)


def test_torch_counts_what_is_written_into_a_tensor():
    import torch

    weight = torch.nn.Parameter(torch.ones(2))
    before = weight._version
    with torch.no_grad():
        weight.add_(1)
    assert weight._version == before + 1


def test_torch_has_a_dropout_with_a_generator():
    """No public one takes a generator; this one takes what to keep, and exists for CUDA alone."""
    import torch

    asked = [argument.name for argument in torch.ops.aten._fused_dropout.default._schema.arguments]
    assert asked == ["self", "p", "generator"]


def test_ipykernel_remembers_who_wrote_to_a_widget():
    comm = pytest.importorskip("ipykernel.comm.comm")
    assert "self._reply_subshell_id = " in Path(inspect.getfile(comm)).read_text()
