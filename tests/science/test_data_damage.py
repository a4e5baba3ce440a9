"""Damaged or incomplete data: an error that names the file, never a partial data set; and the cache."""

import io
import os
import pickle
import re

import numpy as np
import pyarrow.parquet
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


def replaced(values, wrong):
    return [wrong, *values[1:]]


LABELS = {
    "strings": lambda values: [str(value) for value in values],
    "a string": lambda values: "3" * len(values),
    "none": lambda values: [None] * len(values),
    "one is missing": lambda values: replaced(values, None),
    "one is a fraction": lambda values: replaced(values, 2.5),
    "floats": lambda values: [float(value) for value in values],
    "booleans": lambda values: [True] * len(values),
    "one is too large": lambda values: replaced(values, 10),
    "one is below zero": lambda values: replaced(values, -1),
    "far too large": lambda values: replaced(values, 2**40),
    "nested": lambda values: [[value] for value in values],
    "too few": lambda values: values[1:],
    "too many": lambda values: [*values, 3],
    "nothing": lambda values: None,
    "a number": lambda values: 3,
}
WHOLE_COLUMNS = [name for name in LABELS if name not in ("too few", "too many", "nothing", "a number", "a string")]


def refused(file):
    """Expect an error that names the file and the way out."""
    return pytest.raises(DataError, match=rf"(?s){file.name} cannot be read \(.+\): remove it and fetch")


@pytest.mark.parametrize("damage", WHOLE_COLUMNS)
def test_labels_in_parquet_are_whole_numbers_of_a_class(damage, folder):
    file = synthetic.write_parquet(folder, "cifar10", synthetic.images("cifar10"))[1]
    columns = pyarrow.parquet.read_table(file).to_pydict()
    pyarrow.parquet.write_table(pyarrow.table(columns | {"label": LABELS[damage](columns["label"])}), file)
    with refused(file):
        load("cifar10")


IMAGES = {
    "null": lambda cells: [None] * len(cells),
    "one null": lambda cells: replaced(cells, None),
    "no bytes": lambda cells: replaced(cells, {"bytes": None, "path": ""}),
    "text": lambda cells: ["a picture"] * len(cells),
    "numbers": lambda cells: list(range(len(cells))),
    "another key": lambda cells: [{"data": cell["bytes"]} for cell in cells],
    "cut short": lambda cells: replaced(cells, {"bytes": cells[0]["bytes"][:-40], "path": ""}),
    "damaged": lambda cells: replaced(cells, {"bytes": cells[0]["bytes"][:60] + b"\0" * 9 + cells[0]["bytes"][69:]}),
}


@pytest.mark.parametrize("damage", IMAGES)
def test_images_in_parquet_are_pictures(damage, folder):
    file = synthetic.write_parquet(folder, "cifar10", synthetic.images("cifar10"))[1]
    columns = pyarrow.parquet.read_table(file).to_pydict()
    pyarrow.parquet.write_table(pyarrow.table(columns | {"img": IMAGES[damage](columns["img"])}), file)
    with refused(file):
        load("cifar10")


@pytest.mark.parametrize("columns", [{}, {"img": []}, {"label": [1]}, {"img": [], "label": []}])
def test_parquet_without_a_column_or_rows_is_named(columns, folder):
    file = synthetic.write_parquet(folder, "cifar10", synthetic.images("cifar10"))[1]
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    with refused(file):
        load("cifar10")


PICKLES = {
    "a list": lambda content: [content["data"], content["labels"]],
    "nothing": lambda content: None,
    "a number": lambda content: 7,
    "an array": lambda content: content["data"],
    "no data": lambda content: {"labels": content["labels"]},
    "no labels": lambda content: {"data": content["data"]},
    "data of another width": lambda content: content | {"data": content["data"][:, 1:]},
    "data in one row": lambda content: content | {"data": content["data"].ravel()},
    "data as floats": lambda content: content | {"data": content["data"] / 255},
    "data as text": lambda content: content | {"data": "pixels"},
    "no data in it": lambda content: content | {"data": None},
    "ragged data": lambda content: content | {"data": [[1, 2], [3]]},
    **{
        f"labels: {name}": lambda content, change=change: content | {"labels": change(content["labels"])}
        for name, change in LABELS.items()
    },
}


@pytest.mark.parametrize("damage", PICKLES)
def test_a_pickle_of_something_else_is_named(damage, folder):
    file = synthetic.write_pickles(folder, "cifar10", synthetic.images("cifar10"))[2]
    file.write_bytes(pickle.dumps(PICKLES[damage](pickle.loads(file.read_bytes()))))
    with refused(file):
        load("cifar10")


@pytest.mark.parametrize("content", [b"cno_such_module\nThing\n.", b"cos\nno_such_name\n.", b"(lp0\n.", b"."])
def test_a_pickle_that_cannot_be_loaded_is_named(content, folder):
    file = synthetic.write_pickles(folder, "cifar10", synthetic.images("cifar10"))[2]
    file.write_bytes(content)
    with refused(file):
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
    other = io.BytesIO()
    np.save(other, np.arange(3))  # an array where arrays by name should be
    for damage in (b"", cache.read_bytes()[:-200], b"junk" * 100, other.getvalue()):
        cache.write_bytes(damage)
        with pytest.raises(DataError):  # the cache is not believed, and the files are gone
            load("cifar10")
    for file, content in zip(files, kept, strict=True):
        file.write_bytes(content)
    assert torch.equal(load("cifar10").train.pixels, fresh.train.pixels)
    assert torch.equal(load("cifar10").test.labels, fresh.test.labels)
