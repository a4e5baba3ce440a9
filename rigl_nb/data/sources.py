"""Where the raw data come from: embedded digits and text, torchvision's folders, parquet shards, a download."""

import io
import lzma
import math
import pickle
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from rigl_nb import paths, rng
from rigl_nb.data import text


class DataError(ValueError):
    """A data set is missing or damaged."""


@dataclass(frozen=True)
class Source:
    """What is known of a data set before it is read."""

    train: int  # images or windows of text, validation included
    test: int
    classes: int  # or symbols
    shape: tuple[int, ...]  # channels, height, width; of a text the length of a window
    mean: tuple[float, ...] = ()  # per channel, of pixels in 0..1
    std: tuple[float, ...] = ()
    pad: int = 0  # augmentation: reflect-pad, then a random crop
    flip: bool = False  # augmentation: random horizontal flips
    checksum: str = ""  # of the canonical rows of both parts
    baseline: float | None = None  # of a text: bits per test character by the training text's frequencies alone

    @property
    def text(self) -> bool:
        """Whether it is text: every symbol of a window has a label, the next symbol."""
        return len(self.shape) == 1

    @property
    def unit(self) -> str:
        """What a row is called."""
        return "window" if self.text else "image"

    @property
    def example(self) -> tuple[int, ...] | torch.Tensor:
        """One input, as `flops.layer_flops` takes it."""
        return torch.zeros(1, *self.shape, dtype=torch.int64) if self.text else self.shape


SOURCES = {
    "digits": Source(1497, 300, 10, (1, 8, 8), (0.3053,), (0.3757,), pad=1, flip=False),
    "cifar10": Source(
        50_000,
        10_000,
        10,
        (3, 32, 32),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        pad=4,
        flip=True,
        checksum="93efffd4be72f18f9f6be0c117add84c809f96d9035d26bf4f28d49d9432297d",
    ),
    "cifar100": Source(
        50_000,
        10_000,
        100,
        (3, 32, 32),
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        pad=4,
        flip=True,
        checksum="d33d5a6c1dc65a5f0b997bfc85f94254440886a81d02ea7116b8c89dd5ebc7ed",
    ),
    "pydoc": Source(
        5434,
        text.TEST,
        92,
        (text.LENGTH,),
        checksum="c99daff7c02806c590fb9a1cfe6f348454d637eca129a9e21e8625f15c1e8953",
        baseline=4.6286,
    ),
}
TORCHVISION = {  # folder, training files, test files, label key of the original pickles
    "cifar10": ("cifar-10-batches-py", [f"data_batch_{i}" for i in range(1, 6)], ["test_batch"], "labels"),
    "cifar100": ("cifar-100-python", ["train"], ["test"], "fine_labels"),
}
PARQUET_LABEL = {"cifar10": "label", "cifar100": "fine_label"}
PARTS = ("train", "test")
LOSSLESS = ("PNG", "WEBP")  # by itself Pillow tries every format that it knows on every image: half of the time
Raw = tuple[np.ndarray, np.ndarray]  # pixels uint8 (n, h, w, c), labels int64 (n,); of text symbols, labels (n, length)


def read(name: str) -> list[Raw]:
    """(pixels, labels) of train and test, in the source's own order; DataError when no source has them."""
    if name == "digits":
        return _digits()
    if name == "pydoc":
        return _windows()
    if (paths.data() / TORCHVISION[name][0]).is_dir():
        return _pickles(name)
    if (paths.data() / name).is_dir():
        return [_parquet(name, part) for part in PARTS]
    _download(name)
    return _pickles(name)


def _pickles(name: str) -> list[Raw]:
    folder, train, test, key = TORCHVISION[name]
    raw = []
    for files in (train, test):
        pixels, labels = [], []
        for file in (paths.data() / folder / f for f in files):
            with _reading(file), open(file, "rb") as stream:
                content = pickle.load(stream, encoding="latin1")
                if not isinstance(content, dict) or not {"data", key} <= set(content):
                    raise ValueError(f"it holds no dictionary with data and {key}")
                pixels.append(_unfolded(content["data"], SOURCES[name].shape))
                labels.append(_labels(content[key], len(pixels[-1]), SOURCES[name].classes))
        raw.append((np.ascontiguousarray(np.concatenate(pixels)), np.concatenate(labels)))
    return raw


def _parquet(name: str, part: str) -> Raw:
    import pyarrow.parquet
    from PIL import Image

    files = sorted((paths.data() / name).glob(f"{part}-*.parquet"))
    if not files:
        raise DataError(f"no {part}-*.parquet in {paths.data() / name}: fetch the data set again")
    pixels, labels = [], []
    for file in files:
        with _reading(file):
            table = pyarrow.parquet.read_table(file, columns=["img", PARQUET_LABEL[name]])
            images = table["img"].to_pylist()
            opened = (Image.open(io.BytesIO(image["bytes"]), formats=LOSSLESS) for image in images)
            pixels.append(np.stack([_decoded(image, SOURCES[name].shape) for image in opened]))
            labels.append(_labels(table[PARQUET_LABEL[name]].to_pylist(), len(images), SOURCES[name].classes))
    return np.concatenate(pixels), np.concatenate(labels)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turn whatever goes wrong into an error that names the file: what is in it can be anything."""
    try:
        yield
    except Exception as error:
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, OSError | ValueError) else error
        raise DataError(f"{file} cannot be read ({reason}): remove it and fetch the data set again") from error


def _unfolded(rows: object, shape: tuple[int, int, int]) -> np.ndarray:
    rows, size = np.asarray(rows), math.prod(shape)
    if rows.dtype != np.uint8 or rows.shape[1:] != (size,):
        raise ValueError(f"its data are {rows.dtype} of shape {rows.shape}, not uint8 of shape (n, {size})")
    return rows.reshape(-1, *shape).transpose(0, 2, 3, 1)


def _labels(labels: Iterable, images: int, classes: int) -> np.ndarray:
    labels = list(labels)
    if len(labels) != images:
        raise ValueError(f"it has {len(labels)} labels for {images} images")
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, int | np.integer) or not 0 <= label < classes:
            raise ValueError(f"label {label!r:.40} is no whole number from 0 to {classes - 1}")
    return np.asarray(labels, np.int64)


def _decoded(image, shape: tuple[int, int, int]) -> np.ndarray:
    if image.size != (shape[2], shape[1]):
        raise ValueError(f"an image has {image.size[0]}×{image.size[1]} pixels, not {shape[2]}×{shape[1]}")
    return np.asarray(image.convert("RGB"))


def _download(name: str) -> None:
    import torchvision

    try:
        getattr(torchvision.datasets, name.upper())(paths.data(), download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name} is not in {paths.data()} and its download failed ({error}). Three ways to provide it: "
            f"(1) set RIGL_DATA to a folder with torchvision's {TORCHVISION[name][0]}/; "
            f"(2) set RIGL_DATA to a folder with {name}/train-*.parquet and {name}/test-*.parquet "
            f"(columns img.bytes, as PNG or WebP, and {PARQUET_LABEL[name]}); "
            "(3) connect to the network and run again: torchvision downloads it"
        ) from error


def _windows() -> list[Raw]:
    try:
        return text.windows()
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"{text.FILE} cannot be read ({error}): install rigl_nb again") from error


def _digits() -> list[Raw]:
    """scikit-learn's 8×8 digits, grey values 0..16 stretched to 0..255, in a fixed random order.

    Read from its file: to import `sklearn.datasets` takes a second or two of every training process.
    """
    file = metadata.distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    table = np.loadtxt(file, delimiter=",")
    pixels = (table[:, :-1].reshape(-1, 8, 8, 1) * (255 / 16)).round().astype(np.uint8)
    labels = table[:, -1].astype(np.int64)
    order = rng.numpy_generator(0, "digits").permutation(len(pixels))
    n = SOURCES["digits"].train
    return [(pixels[rows], labels[rows]) for rows in (order[:n], order[n:])]
