"""Tiny CIFAR look-alikes on disk, in both layouts that the project reads."""

import io
import pickle
from dataclasses import replace

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

from rigl_nb.data.sources import SOURCES

TRAIN, TEST = 50, 12
LABELS = {"cifar10": ("label", "labels", 10), "cifar100": ("fine_label", "fine_labels", 100)}


def images(name, seed=0):
    """Return (pixels, labels) of train and test; two training images are equal but for the label."""
    rng = np.random.default_rng(seed)
    parts = []
    for n in (TRAIN, TEST):
        pixels = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        labels = rng.integers(0, LABELS[name][2], n)
        pixels[1], labels[0], labels[1] = pixels[0], 3, 7
        parts.append((pixels, labels))
    return parts


def sized(name, checksum=""):
    """Return the data set's description with the sizes of the look-alike."""
    return replace(SOURCES[name], train=TRAIN, test=TEST, checksum=checksum)


def write_parquet(root, name, parts, shards=2):
    """Write `parts` as Hugging Face style shards; return the files."""
    folder, files = root / name, []
    folder.mkdir(parents=True)
    for part, (pixels, labels) in zip(("train", "test"), parts, strict=True):
        for shard, rows in enumerate(np.array_split(np.arange(len(labels)), shards)):
            cells = [{"bytes": encoded(pixels[row]), "path": f"{row}.png"} for row in rows]
            columns = {"img": cells, LABELS[name][0]: labels[rows].tolist()}
            files.append(folder / f"{part}-{shard:05d}-of-{shards:05d}.parquet")
            pyarrow.parquet.write_table(pyarrow.table(columns), files[-1])
    return files


def encoded(pixels, kind="png"):
    """Return the bytes of an image file; PNG and WebP are lossless."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=kind, lossless=True)
    return stream.getvalue()


def write_pickles(root, name, parts):
    """Write `parts` as torchvision's folder of pickles; return the files."""
    (pixels, labels), test = parts
    if name == "cifar10":
        folder, last = root / "cifar-10-batches-py", "test_batch"
        rows = np.array_split(np.arange(len(labels)), 5)
        batches = {f"data_batch_{i + 1}": (pixels[r], labels[r]) for i, r in enumerate(rows)}
    else:
        folder, last, batches = root / "cifar-100-python", "test", {"train": (pixels, labels)}
    folder.mkdir(parents=True)
    for file, (x, y) in (batches | {last: test}).items():
        flat = np.ascontiguousarray(x.transpose(0, 3, 1, 2)).reshape(len(x), -1)
        with open(folder / file, "wb") as stream:
            pickle.dump({"data": flat, LABELS[name][1]: [int(label) for label in y]}, stream, protocol=2)
    return [folder / file for file in (*batches, last)]
