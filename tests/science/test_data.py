"""Splits, batches and both layouts on disk, with tiny look-alikes; the real images where they are at hand."""

import hashlib
import math
import urllib.error

import numpy as np
import pytest
import synthetic
import torch

from rigl_nb import data
from rigl_nb.data import SOURCES, DataError, Images, batch, load, split


def row_hashes(images):
    pairs = zip(images.pixels.numpy(), images.labels.tolist(), strict=True)
    return [hashlib.sha256(pixels.tobytes() + str(label).encode()).hexdigest() for pixels, label in pairs]


def test_digits_are_the_1797_images_of_scikit_learn():
    digits = load("digits")
    assert len(digits.train) + len(digits.test) == 1797
    assert digits.train.pixels.dtype == torch.uint8
    assert digits.train.pixels.shape[1:] == (8, 8, 1)
    assert digits.train.labels.dtype == torch.int64
    assert (len(digits.train), len(digits.test)) == (digits.source.train, digits.source.test)
    assert not set(row_hashes(digits.train)) & set(row_hashes(digits.test))
    assert set(digits.test.labels.tolist()) == set(range(10))
    assert len(row_hashes(load("digits").train)) == len(set(row_hashes(digits.train)))
    assert row_hashes(load("digits").test) == row_hashes(digits.test)


def test_digits_are_those_that_scikit_learn_loads():
    """Every image with its label, whatever the order."""
    from sklearn.datasets import load_digits

    theirs, digits = load_digits(), load("digits")
    ours = [pair for part in (digits.train, digits.test) for pair in zip(part.pixels, part.labels, strict=True)]
    found = sorted((pixels.numpy().tobytes(), int(label)) for pixels, label in ours)
    wanted = (theirs.images * 255 / 16).round().astype("uint8")
    assert found == sorted((w.tobytes(), int(t)) for w, t in zip(wanted, theirs.target, strict=True))


def test_digits_are_normalised():
    digits = load("digits")
    x = batch(digits.train, torch.arange(len(digits.train)), digits.source)
    assert x.shape == (len(digits.train), 1, 8, 8)
    assert abs(x.mean()) < 0.02
    assert abs(x.std() - 1) < 0.02


def test_split_parts_the_rows():
    digits = load("digits").train
    train, validation = split(digits, 200)
    assert (len(train), len(validation)) == (len(digits) - 200, 200)
    assert sorted(row_hashes(train) + row_hashes(validation)) == sorted(row_hashes(digits))
    assert row_hashes(split(digits, 200)[1]) == row_hashes(validation)
    assert len(set(validation.labels.tolist())) == 10  # not the first rows of one class


def test_split_without_validation():
    digits = load("digits").train
    train, validation = split(digits, 0)
    assert (len(train), len(validation)) == (len(digits), 0)
    assert row_hashes(train) == row_hashes(digits)


def test_split_is_pinned():
    """Other rows would be another experiment: published records would no longer match."""
    rows = sorted(row_hashes(split(load("digits").train, 200)[1]))
    assert hashlib.sha256("".join(rows).encode()).hexdigest()[:16] == "867a4e6c0d46cf7e"


def random_images(n, size, channels):
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (n, size, size, channels), dtype=np.uint8))
    return Images(pixels, torch.arange(n) % 10)


def pixels_of(x, source):
    """Undo the normalisation: the uint8 image (n, h, w, c) that was normalised."""
    raw = x.permute(0, 2, 3, 1) * torch.tensor(source.std) + torch.tensor(source.mean)
    return (raw * 255).round().to(torch.uint8).numpy()


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_without_augmentation_a_batch_is_the_normalised_image(name):
    images, source = random_images(20, 32, 3), SOURCES[name]
    rows = torch.tensor([4, 4, 19, 0])
    x = batch(images, rows, source)
    assert (x.dtype, x.shape) == (torch.float32, (4, 3, 32, 32))
    raw = images.pixels[rows].double() / 255
    want = (raw - torch.tensor(source.mean).double()) / torch.tensor(source.std).double()
    torch.testing.assert_close(x.double(), want.permute(0, 3, 1, 2), rtol=0, atol=2e-6)


def test_published_normalisation_and_augmentation():
    ten, hundred, digits = SOURCES["cifar10"], SOURCES["cifar100"], SOURCES["digits"]
    assert (ten.mean, ten.std) == ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
    assert (hundred.mean, hundred.std) == ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))
    assert [(s.pad, s.flip) for s in (ten, hundred, digits)] == [(4, True), (4, True), (1, False)]
    assert [(s.train, s.test) for s in (ten, hundred)] == [(50_000, 10_000)] * 2
    assert [s.classes for s in (ten, hundred, digits)] == [10, 100, 10]


def views(image, pad, flip):
    """Every view that augmentation may give of one image, by (dy, dx, flipped): slow and plain."""
    size = len(image)
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    for dy in range(2 * pad + 1):
        for dx in range(2 * pad + 1):
            crop = padded[dy : dy + size, dx : dx + size]
            yield (dy, dx, False), crop
            if flip:
                yield (dy, dx, True), crop[:, ::-1]


@pytest.mark.parametrize(("name", "n"), [("cifar10", 300), ("digits", 120)])
def test_augmentation_is_a_crop_of_the_reflect_padded_image(name, n):
    """Each image matches exactly one view; over the batch every shift occurs, and flips half of the time."""
    source = SOURCES[name]
    images = random_images(n, source.shape[1], source.shape[0])
    x = batch(images, torch.arange(n), source, torch.Generator().manual_seed(0))
    assert x.shape == (n, *source.shape)
    found = []
    for got, image in zip(pixels_of(x, source), images.pixels.numpy(), strict=True):
        matches = [key for key, view in views(image, source.pad, source.flip) if np.array_equal(got, view)]
        assert len(matches) == 1
        found += matches
    dy, dx, flipped = zip(*found, strict=True)
    assert set(dy) == set(dx) == set(range(2 * source.pad + 1))
    assert len(set(zip(dy, dx, strict=True))) > 0.8 * (2 * source.pad + 1) ** 2  # two shifts, not one
    if source.flip:
        assert abs(sum(flipped) - n / 2) < 4.5 * math.sqrt(n) / 2


def test_augmentation_follows_its_generator_and_no_other():
    images, source, rows = random_images(8, 32, 3), SOURCES["cifar10"], torch.arange(8)
    state = torch.get_rng_state()
    first, again = (batch(images, rows, source, torch.Generator().manual_seed(5)) for _ in range(2))
    other = batch(images, rows, source, torch.Generator().manual_seed(6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    batch(images, rows, source)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images.pixels, random_images(8, 32, 3).pixels)


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match=r"imagenet.*digits.*cifar10.*cifar100"):
        load("imagenet")


@pytest.mark.parametrize("name", synthetic.LABELS)
def test_both_layouts_give_the_same_rows_splits_and_batches(name, folder, monkeypatch, tmp_path):
    """The parquet rows are a shuffle of the pickles': the canonical order hides it."""
    parts = synthetic.images(name)
    synthetic.write_pickles(folder, name, parts)
    original = load(name)
    orders = [np.random.default_rng(1).permutation(len(labels)) for _, labels in parts]
    shuffled = [(x[order], y[order]) for (x, y), order in zip(parts, orders, strict=True)]
    synthetic.write_parquet(tmp_path / "other", name, shuffled)
    monkeypatch.setenv("RIGL_DATA", str(tmp_path / "other"))
    other = load(name)
    for part, (pixels, labels) in zip(("train", "test"), parts, strict=True):
        a, b = getattr(original, part), getattr(other, part)
        assert row_hashes(a) == row_hashes(b)
        wanted = Images(torch.from_numpy(pixels), torch.from_numpy(labels))
        assert sorted(row_hashes(a)) == sorted(row_hashes(wanted))
    for a, b in zip(split(original.train, 10), split(other.train, 10), strict=True):
        assert row_hashes(a) == row_hashes(b)
    rows, both = torch.arange(9), (original, other)
    draws = [batch(d.train, rows, d.source, torch.Generator().manual_seed(1)) for d in both]
    assert torch.equal(*draws)


def test_pickles_come_first(folder):
    parts = synthetic.images("cifar10")
    synthetic.write_pickles(folder, "cifar10", parts)
    for file in synthetic.write_parquet(folder, "cifar10", parts):
        file.write_bytes(b"broken")
    assert len(load("cifar10").train) == synthetic.TRAIN


@pytest.mark.parametrize("name", synthetic.LABELS)
def test_missing_data_names_all_three_ways(name, folder, monkeypatch):
    import torchvision

    def offline(self):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", offline)
    with pytest.raises(DataError) as caught:
        load(name)
    message = str(caught.value)
    pickles = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}[name]
    for word in ("RIGL_DATA", pickles, ".parquet", synthetic.LABELS[name][0], "download", str(folder)):
        assert word in message
    assert isinstance(caught.value, ValueError)


def test_data_module_reads_only_where_it_is_told(folder):
    assert data.paths.data() == folder
    assert not folder.exists()
