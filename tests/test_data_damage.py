"""Damaged or incomplete data: an error that names the file, never a partial data set; and the cache."""

import os
import re

import pytest
import synthetic
import torch

from rigl_nb import data
from rigl_nb.data import SOURCES, DataError

WRITE = {"parquet": synthetic.write_parquet, "pickles": synthetic.write_pickles}


def load(name):
    """Load as a new process does: nothing is kept from an earlier call."""
    data._load.cache_clear()
    return data.load(name)


@pytest.mark.parametrize("name", synthetic.LABELS)
@pytest.mark.parametrize("layout", WRITE)
@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("size", [0, 0.5, -1])
def test_a_truncated_file_is_named(name, layout, which, size, folder):
    file = WRITE[layout](folder, name, synthetic.images(name))[which]
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * size) if size >= 0 else size])
    with pytest.raises(DataError, match=file.name):
        load(name)


@pytest.mark.parametrize("layout", WRITE)
def test_a_file_of_other_content_is_named(layout, folder):
    file = WRITE[layout](folder, "cifar10", synthetic.images("cifar10"))[0]
    file.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=file.name):
        load("cifar10")


def test_an_image_of_another_size_is_named(folder):
    (x, y), test = synthetic.images("cifar10")
    files = synthetic.write_parquet(folder, "cifar10", [(x[:, :16, :16], y), test])
    with pytest.raises(DataError, match=rf"{files[0].name}|cifar10 train"):
        load("cifar10")


def test_one_image_of_another_size_is_an_error_too(folder, monkeypatch):
    encode = synthetic.encoded
    parts = synthetic.images("cifar10")
    odd = parts[0][0][3]
    monkeypatch.setattr(synthetic, "encoded", lambda p: encode(p[:16] if (p == odd).all() else p))
    synthetic.write_parquet(folder, "cifar10", parts)
    with pytest.raises(DataError, match="train"):
        load("cifar10")


@pytest.mark.parametrize("layout", WRITE)
def test_a_missing_file_is_an_error(layout, folder):
    files = WRITE[layout](folder, "cifar10", synthetic.images("cifar10"))
    files[1].unlink()
    with pytest.raises(DataError, match=r"cifar10|data_batch_2"):
        load("cifar10")


def test_lossless_images_are_taken_and_others_are_refused(folder, monkeypatch):
    encode, parts = synthetic.encoded, synthetic.images("cifar10")
    for kind in ("jpeg", "webp"):
        monkeypatch.setattr(synthetic, "encoded", lambda pixels, kind=kind: encode(pixels, kind))
        files = synthetic.write_parquet(folder / kind, "cifar10", parts)
        monkeypatch.setenv("RIGL_DATA", str(folder / kind))
        if kind == "webp":
            found, wanted = load("cifar10").train.pixels.tolist(), parts[0][0].tolist()
            assert sorted(found) == sorted(wanted)  # in an order that the file does not decide
        else:
            with pytest.raises(DataError, match=rf"{files[0].name} cannot be read \(cannot identify image file"):
                load("cifar10")


def test_an_empty_folder_is_an_error_that_names_it(folder):
    (folder / "cifar10").mkdir(parents=True)
    with pytest.raises(DataError, match="cifar10"):
        load("cifar10")


def expect(monkeypatch, checksum):
    monkeypatch.setitem(SOURCES, "cifar10", synthetic.sized("cifar10", checksum))


def true_checksum(monkeypatch):
    expect(monkeypatch, "0" * 64)
    with pytest.raises(DataError, match="damaged") as caught:
        load("cifar10")
    (found,) = set(re.findall(r"\b[0-9a-f]{64}\b", str(caught.value))) - {"0" * 64}
    return found


def test_other_images_do_not_pass_for_the_data_set(folder, monkeypatch):
    """One pixel off by one: every shape and count is right, the checksum is not."""
    parts = synthetic.images("cifar10")
    files = synthetic.write_pickles(folder, "cifar10", parts)
    expect(monkeypatch, true_checksum(monkeypatch))
    load("cifar10")
    for file in (*files, *(folder.parent / "build" / "cache").iterdir()):
        file.unlink()
    os.rmdir(files[0].parent)
    parts[1][0][5, 4, 3, 2] ^= 1
    synthetic.write_pickles(folder, "cifar10", parts)
    with pytest.raises(DataError, match="cifar10"):
        load("cifar10")
    assert not any((folder.parent / "build" / "cache").iterdir())  # nothing wrong is kept


def test_cache_replaces_the_files_and_survives_damage(folder, monkeypatch):
    files = synthetic.write_parquet(folder, "cifar10", synthetic.images("cifar10"))
    expect(monkeypatch, true_checksum(monkeypatch))
    fresh = load("cifar10")
    kept = [file.read_bytes() for file in files]
    for file in files:
        file.write_bytes(b"gone")
    cached = load("cifar10")
    for part in ("train", "test"):
        assert torch.equal(getattr(cached, part).pixels, getattr(fresh, part).pixels)
        assert torch.equal(getattr(cached, part).labels, getattr(fresh, part).labels)
    (cache,) = (folder.parent / "build" / "cache").iterdir()
    for damage in (b"", cache.read_bytes()[:-200], b"junk" * 100):
        cache.write_bytes(damage)
        with pytest.raises(DataError):  # the cache is not believed, and the files are gone
            load("cifar10")
    for file, content in zip(files, kept, strict=True):
        file.write_bytes(content)
    assert torch.equal(load("cifar10").train.pixels, fresh.train.pixels)
    assert torch.equal(load("cifar10").test.labels, fresh.test.labels)
