"""Where things are: the repository, published results, data and everything generated."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def results() -> Path:
    """Published records, the evidence behind the report (`$RIGL_RESULTS`, default `results/`)."""
    return _folder("RIGL_RESULTS", "results")


def build() -> Path:
    """Everything generated (`$RIGL_BUILD`, default `build/`)."""
    return _folder("RIGL_BUILD", "build")


def data() -> Path:
    """The image data sets (`$RIGL_DATA`, default `data/`)."""
    return _folder("RIGL_DATA", "data")


def runs() -> Path:
    """The records that this machine's own training leaves."""
    return build() / "runs"


def _folder(variable: str, default: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        return ROOT / default
    path = Path(value).expanduser().absolute()
    os.environ[variable] = str(path)  # kernels and workers start in other folders: they must agree
    return path
