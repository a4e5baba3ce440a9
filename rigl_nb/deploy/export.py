"""A network as a file that runs without this project: ONNX, or a program of torch's own."""

import copy
import importlib.util
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from rigl_nb import checks

KINDS = (".onnx", ".pt2")
WRITERS = ("onnx", "onnxscript")  # what torch writes ONNX with


def export(model: nn.Module, example: Tensor, path: Path | str) -> Path:
    """Write what the model computes in evaluation, a compact one say: `.onnx` (for any runtime) or `.pt2` (for torch).

    `example` is an input, (n, …) on the model's device: the file takes batches of any n, of items of this size and
    type. A `.pt2` is what `torch.export.load` reads. The model stays as it is. Raises ValueError for another ending, an
    example of no item, where a package is missing, and for a model that torch cannot trace or that needs the batch's
    size.
    """
    checks.kind("model", model, nn.Module)
    checks.kind("example", example, Tensor)
    if example.ndim == 0 or len(example) == 0:
        what = "it must be a batch (n, …) of at least one item"
        raise ValueError(f"example of shape {tuple(example.shape)} is not allowed: {what}")
    if not isinstance(path, (str, os.PathLike)):
        raise ValueError(f"path {path!r} is not allowed: it must be a str or a Path, such as 'model.onnx'")
    path, name = Path(path), type(model).__name__
    checks.choice("the ending", path.suffix, KINDS)
    if path.suffix == ".onnx" and (missing := [one for one in WRITERS if importlib.util.find_spec(one) is None]):
        raise ValueError(f"{path.name} needs {' and '.join(missing)}: install them by pip install 'rigl_nb[export]'")
    two = torch.cat([example[:1]] * 2)  # of one image, torch would take the 1 for a part of the model
    shapes = [{0: torch.export.Dim("batch")}]
    try:
        program = torch.export.export(copy.deepcopy(model).eval(), (two,), dynamic_shapes=shapes)
    except Exception as error:  # torch has a dozen kinds, most of them private
        raise ValueError(f"model {name} has no export: {_first_line(error)}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".pt2":
        torch.export.save(program, path)
    else:
        torch.onnx.export(program, (two,), path, dynamic_shapes=shapes, external_data=False, verbose=False)
    return path


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
