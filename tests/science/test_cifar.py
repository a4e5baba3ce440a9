"""The real CIFAR-10 and CIFAR-100, where `$RIGL_DATA` holds them: counts, published means, one split."""

import io

import numpy as np
import pyarrow.parquet
import pytest
import synthetic
import torch
from PIL import Image

from rigl_nb import paths
from rigl_nb.data import SOURCES, batch, load, split

ROOT = paths.data()
FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}


def at_hand(name):
    return (ROOT / name).is_dir() or (ROOT / FOLDERS[name]).is_dir()


def needs(name):
    return pytest.mark.skipif(not at_hand(name), reason=f"{name} is not in {ROOT} (set RIGL_DATA)")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Load a data set from the files, once a module, past any cache that this machine has."""
    loaded = {}

    def get(name):
        if name not in loaded:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("RIGL_BUILD", str(tmp_path_factory.mktemp("build")))
                patch.setenv("RIGL_DATA", str(ROOT))
                loaded[name] = load(name)
        return loaded[name]

    return get


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in FOLDERS])
def test_counts_and_means_are_the_published_ones(name, real):
    dataset, source = real(name), SOURCES[name]
    assert dataset.train.pixels.shape == (50_000, 32, 32, 3)
    assert dataset.test.pixels.shape == (10_000, 32, 32, 3)
    for images, each in ((dataset.train, 50_000), (dataset.test, 10_000)):
        assert torch.bincount(images.labels).tolist() == [each // source.classes] * source.classes
    pixels = dataset.train.pixels.double().div_(255)
    assert pixels.mean((0, 1, 2)).tolist() == pytest.approx(source.mean, abs=6e-4)
    if name == "cifar100":  # CIFAR-10's published deviations are means over images, as everybody uses them
        assert pixels.flatten(0, 2).std(0).tolist() == pytest.approx(source.std, abs=6e-4)
    else:
        assert pixels.flatten(1, 2).std(1).mean(0).tolist() == pytest.approx(source.std, abs=6e-4)


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in FOLDERS])
def test_the_split_is_balanced_and_fixed(name, real):
    dataset = real(name)
    train, validation = split(dataset.train, 5_000)
    assert (len(train), len(validation)) == (45_000, 5_000)
    share = torch.bincount(validation.labels) / 5_000 * SOURCES[name].classes
    assert (share - 1).abs().max() < 5 * (SOURCES[name].classes / 5_000) ** 0.5
    assert torch.equal(split(dataset.train, 5_000)[1].pixels, validation.pixels)


@pytest.mark.skipif(not (ROOT / "cifar10").is_dir(), reason=f"no cifar10/*.parquet in {ROOT} (set RIGL_DATA)")
def test_shards_hold_the_images_that_were_loaded(real):
    """200 rows of each part, decoded here, are in the loaded set with their labels."""
    dataset = real("cifar10")
    for part in ("train", "test"):
        images = getattr(dataset, part)
        have = {(p.tobytes(), y) for p, y in zip(images.pixels.numpy(), images.labels.tolist(), strict=True)}
        file = sorted((ROOT / "cifar10").glob(f"{part}-*.parquet"))[-1]
        rows = pyarrow.parquet.read_table(file).slice(0, 200).to_pylist()
        for row in rows:
            pixels = np.asarray(Image.open(io.BytesIO(row["img"]["bytes"])).convert("RGB"))
            assert (pixels.tobytes(), row["label"]) in have


@pytest.mark.skipif(not (ROOT / "cifar10").is_dir(), reason=f"no cifar10/*.parquet in {ROOT} (set RIGL_DATA)")
def test_pickles_in_another_order_give_the_same_data_set(real, monkeypatch, tmp_path):
    """Torchvision's layout, rows shuffled: same checksum, rows, split and batches as from the shards."""
    dataset, rng = real("cifar10"), np.random.default_rng(0)
    parts = []
    for images in (dataset.train, dataset.test):
        order = rng.permutation(len(images))
        parts.append((images.pixels.numpy()[order], images.labels.numpy()[order]))
    synthetic.write_pickles(tmp_path / "data", "cifar10", parts)
    monkeypatch.setenv("RIGL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RIGL_BUILD", str(tmp_path / "build"))
    other = load("cifar10")
    for part in ("train", "test"):
        assert torch.equal(getattr(other, part).pixels, getattr(dataset, part).pixels)
        assert torch.equal(getattr(other, part).labels, getattr(dataset, part).labels)
    draws = []
    for d in (dataset, other):
        train, _ = split(d.train, 5_000)
        draws.append(batch(train, torch.arange(0, 45_000, 351), d.source, torch.Generator().manual_seed(0)))
    assert torch.equal(*draws)
