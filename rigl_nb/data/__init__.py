"""Images or text as uint8 tensors on the run's device: embedded digits, CIFAR-10 and CIFAR-100, Python's own words.

Images stand in a canonical order (by a hash of pixels and label), so that a split and a batch are the same
whichever source they came from; windows of text stand in the text's order. There are no loader workers: a batch is one
indexing operation.
"""

import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rigl_nb import paths, rng
from rigl_nb.data import sources
from rigl_nb.data.sources import PARTS, SOURCES, DataError, Source

CACHE_FORMAT = 1
KEYS = (("x", "pixels"), ("y", "labels"))


@dataclass(frozen=True)
class Images:
    """Pixels, uint8 (n, h, w, c), and labels, int64 (n,); of text symbols, and those that follow, (n, length)."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str | torch.device) -> "Images":
        """The same images on `device`."""
        return Images(self.pixels.to(device), self.labels.to(device))

    def __getitem__(self, rows: Tensor) -> "Images":
        return Images(self.pixels[rows], self.labels[rows])


@dataclass(frozen=True)
class Dataset:
    """Both parts of a data set, in canonical order."""

    source: Source  # shape, classes, normalisation, augmentation
    train: Images  # validation included
    test: Images


def load(name: str, device: str | torch.device = "cpu") -> Dataset:
    """Read a data set: from the cache, from `$RIGL_DATA`, or by download; DataError when none of them has it."""
    if name not in SOURCES:
        raise ValueError(f"data {name!r} is unknown: allowed are {', '.join(SOURCES)}")
    return _load(name, str(device), paths.data(), paths.build())


def where(name: str) -> Path | None:
    """The file or folder from which `load` would read CIFAR; None: it would try a download."""
    cached = paths.build() / "cache" / f"{name}-{CACHE_FORMAT}.npz"
    places = (cached, paths.data() / sources.TORCHVISION[name][0], paths.data() / name)
    return next((place for place in places if place.exists()), None)


@functools.lru_cache(maxsize=2)
def _load(name: str, device: str, *roots: Path) -> Dataset:
    """Kept for the runs that follow, or share the device: nothing changes the images of a data set."""
    at_hand = SOURCES[name].text or not SOURCES[name].checksum
    train, test = _fresh(name) if at_hand else _cached(name)
    return Dataset(SOURCES[name], train.to(device), test.to(device))


def split(images: Images, validation: int) -> tuple[Images, Images]:
    """(train, validation): the same rows for every seed, one fixed permutation of the canonical order.

    Of a text the last windows validate, so that no word is in both parts.
    """
    if images.labels.ndim > 1:
        first = len(images) - validation
        return images[torch.arange(first)], images[torch.arange(first, len(images))]
    order = torch.from_numpy(rng.numpy_generator(0, "split").permutation(len(images))).to(images.labels.device)
    return images[order[validation:].sort().values], images[order[:validation].sort().values]


def batch(images: Images, rows: Tensor, source: Source, generator: torch.Generator | None = None) -> Tensor:
    """Normalised images, float32 (n, c, h, w) in channels-last memory; augmented when a generator is given.

    Crop out of the reflect-padded image, flip and selection of rows are one gather. Of text: int64 symbols (n, length).
    """
    if source.text:
        return images.pixels[rows].long()
    (_, height, width), device, n = source.shape, images.pixels.device, len(rows)
    if generator is None:
        pixels = images.pixels[rows]
    else:
        pad = source.pad
        drawn = {"device": generator.device, "generator": generator}
        shift = torch.randint(0, 2 * pad + 1, (2, n, 1), **drawn).to(device)
        y = _reflect(torch.arange(height, device=device) + shift[0] - pad, height)
        x = _reflect(torch.arange(width, device=device) + shift[1] - pad, width)
        if source.flip:
            flip = torch.rand((n, 1), **drawn).to(device) < 0.5
            x = torch.where(flip, x.flip(1), x)
        pixels = images.pixels[rows[:, None, None], y[:, :, None], x[:, None, :]]
    mean, std = _normalisation(source, device)
    return ((pixels - mean) / std).permute(0, 3, 1, 2)


@functools.cache
def _normalisation(source: Source, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation per channel, made once: a copy to the device would hold up every batch."""
    return torch.tensor(source.mean, device=device) * 255, torch.tensor(source.std, device=device) * 255


def _reflect(index: Tensor, size: int) -> Tensor:
    """Positions outside 0..size-1 mirrored at the border, which is not repeated."""
    index = index.abs()
    return torch.where(index < size, index, 2 * (size - 1) - index)


def _canonical(pixels: np.ndarray, labels: np.ndarray) -> Images:
    if labels.ndim > 1:  # text: its order has a meaning
        return Images(torch.from_numpy(pixels), torch.from_numpy(labels))
    keys = [hashlib.sha256(p.tobytes() + bytes([label])).digest() for p, label in zip(pixels, labels, strict=True)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Images(torch.from_numpy(pixels[order]), torch.from_numpy(np.asarray(labels, dtype=np.int64)[order]))


def _fresh(name: str) -> tuple[Images, Images]:
    where = sources.text.FILE if SOURCES[name].text else paths.data()
    return _checked(name, [_canonical(*raw) for raw in sources.read(name)], where)


def _cached(name: str) -> tuple[Images, Images]:
    file = paths.build() / "cache" / f"{name}-{CACHE_FORMAT}.npz"
    try:
        with np.load(file) as arrays:
            parts = [Images(*(torch.from_numpy(arrays[f"{part}_{k}"]) for k in ("x", "y"))) for part in PARTS]
        return _checked(name, parts, file)
    except Exception:  # no cache yet, or a damaged one, which can be anything: make it anew
        pass
    parts = _fresh(name)
    arrays = {f"{p}_{k}": getattr(i, f) for p, i in zip(PARTS, parts, strict=True) for k, f in KEYS}
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}.part.npz")
    np.savez(partial, **arrays)
    os.replace(partial, file)
    return parts


def _checked(name: str, parts: list[Images], where: Path) -> tuple[Images, Images]:
    source = SOURCES[name]
    digest = hashlib.sha256()
    for part, images, n in zip(PARTS, parts, (source.train, source.test), strict=True):
        wanted = (n, *source.shape[1:], source.shape[0])  # channels come last
        if tuple(images.pixels.shape) != wanted:
            raise DataError(
                f"{name} {part} in {where} has shape {tuple(images.pixels.shape)}, not {wanted}:"
                " the data set is incomplete; remove it and fetch it again"
            )
        digest.update(images.pixels.numpy().tobytes() + images.labels.numpy().astype("<i8").tobytes())
    if source.checksum and digest.hexdigest() != source.checksum:
        raise DataError(
            f"{name} in {where} is damaged: checksum {digest.hexdigest()}, not {source.checksum};"
            " remove it and fetch it again"
        )
    return parts[0], parts[1]
