"""A folder of records: nothing half written, nothing under a wrong name, nothing published unchecked."""

import errno
import math
import os
import stat
from dataclasses import replace

import pandas as pd
import pytest
from records import files, kept, made, result, tiny

from rigl_nb.methods import METHODS, RIGL
from rigl_nb.runs.record import RecordError
from rigl_nb.runs.store import CORRECT, Store, write

SPEC = tiny()


def test_a_saved_record_is_found(store):
    path = store.save(made(SPEC))
    assert path == store.path(SPEC) == store.root / SPEC.config_id / "seed-0.json"
    assert store.find(SPEC) == made(SPEC)
    assert files(store.root) == [f"{SPEC.run_id}.json"]


def test_a_folder_that_does_not_exist_is_empty(store):
    assert store.find(SPEC) is None
    assert store.records() == []
    assert store.failure(SPEC) is None
    assert not store.root.exists(), "looking must create nothing"


def test_other_seeds_and_settings_are_other_records(store):
    store.save(made(SPEC))
    for other in (tiny(seed=1), tiny(density=0.3), tiny(epochs=2), tiny("SET")):
        assert store.find(other) is None


def test_saving_again_replaces(store):
    store.save(made(SPEC, test_accuracy=1.0))
    store.save(made(SPEC, test_accuracy=2.0))
    assert store.find(SPEC).test_accuracy == 2.0
    assert len(store.records()) == 1


def test_everybody_may_read_a_record(store):
    """A temporary file is its owner's alone; published evidence is not."""
    assert stat.S_IMODE(store.save(made(SPEC)).stat().st_mode) == 0o644


def test_records_of_a_method_that_is_unknown_here_are_left_out(store, monkeypatch):
    """A reader's own runs, seen by a process in which nobody registered the method."""
    monkeypatch.setitem(METHODS, "Mine", replace(RIGL, name="Mine"))
    mine, plain = made(tiny("Mine")), made(tiny())
    for record in (mine, plain):
        store.save(record)
    assert len(store.records()) == 2
    monkeypatch.delitem(METHODS, "Mine")
    assert store.records() == [plain]


def test_records_are_ordered_and_nothing_else(store):
    specs = [tiny("SET"), tiny(seed=1), tiny()]
    for spec in specs:
        store.save(made(spec))
        store.path(spec, ".lock").touch()
    store.path(SPEC, ".checkpoint").write_bytes(b"...")
    store.fail(tiny(seed=5), "a reason", "a trace")
    assert [one.spec.run_id for one in store.records()] == sorted(spec.run_id for spec in specs)


# ---- writing in one step


@pytest.mark.parametrize("broken", ["fsync", "replace"])
@pytest.mark.parametrize("old", ["before", None])
def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch, broken, old):
    path = tmp_path / "folder" / "file.json"
    if old:
        write(path, old)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, full)
        with pytest.raises(OSError, match="No space left"):
            write(path, "after" * 10_000)
    assert files(tmp_path) == (["folder/file.json"] if old else [])
    assert not old or path.read_text() == old
    write(path, b"after")
    assert path.read_bytes() == b"after"


def test_an_interrupt_while_writing_leaves_no_rest(tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "file.json", "text")
    assert files(tmp_path) == []


def test_a_full_disk_keeps_the_record_and_the_failure(store, monkeypatch):
    store.save(made(SPEC, test_accuracy=1.0))
    store.fail(SPEC, "a reason", "a trace")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        store.save(made(SPEC, test_accuracy=2.0))
    assert store.find(SPEC).test_accuracy == 1.0
    assert store.failure(SPEC) == "a reason"


# ---- damage


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[]"])
def test_a_damaged_file_is_named_with_the_way_out(store, content):
    path = store.save(made(SPEC))
    path.write_bytes(content)
    for look in (lambda: store.find(SPEC), store.records, lambda: store.frame([SPEC])):
        with pytest.raises(RecordError, match="Restore it, or remove it") as caught:
            look()
        assert str(path) in str(caught.value)


def test_a_record_under_another_runs_name_is_refused(store):
    for other in (tiny(seed=1), tiny(density=0.3)):
        path = store.path(other)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made(SPEC).to_json())
        with pytest.raises(RecordError, match=SPEC.run_id) as caught:
            store.find(other)
        assert str(path) in str(caught.value)
        with pytest.raises(RecordError):
            store.records()
        path.unlink()


# ---- failures


def test_a_failure_is_kept_until_the_run_is_trained(store):
    store.fail(SPEC, "RuntimeError: boom", "Traceback ...")
    assert store.failure(SPEC) == "RuntimeError: boom"
    assert store.find(SPEC) is None
    assert store.failure(tiny(seed=1)) is None
    store.fail(SPEC, "RuntimeError: again", "Traceback ...")
    assert store.failure(SPEC) == "RuntimeError: again"
    assert "Traceback ..." in store.path(SPEC, ".failed.json").read_text()
    store.save(made(tiny(seed=1)))
    assert store.failure(SPEC) == "RuntimeError: again"
    store.save(made(SPEC))
    assert store.failure(SPEC) is None


# ---- the table

COLUMNS = {
    *("data", "model", "method", "structure", "init", "density", "multiplier", "alpha", "delta_t", "epochs", "seed"),
    *("run_id", "config_id", "present", "test_accuracy", "validation_accuracy", "train_flops", "test_flops"),
    *("seconds", "collapsed", "test_bits"),
}


def test_the_frame_has_a_row_for_every_spec_in_order(store):
    dense, small = tiny("Dense"), tiny("Small-Dense", seed=2)
    specs = [small, SPEC, dense]
    store.save(made(SPEC, test_accuracy=91.7))
    store.save(made(dense, test_accuracy=10.0))
    frame = store.frame(specs)
    assert set(frame.columns) == COLUMNS
    assert list(frame["run_id"]) == [spec.run_id for spec in specs]
    assert list(frame["config_id"]) == [spec.config_id for spec in specs]
    assert list(frame["present"]) == [False, True, True]
    assert list(frame["method"]) == ["Small-Dense", "RigL", "Dense"]
    assert list(frame["seed"]) == [2, 0, 0]
    assert list(frame["density"]) == [0.2, 0.2, 1.0]
    assert list(frame["collapsed"]) == [False, False, True]
    row = frame.iloc[1]
    assert (row["init"], row["alpha"], row["delta_t"]) == ("ERK", 0.3, 3)
    assert (row["test_accuracy"], row["train_flops"], row["test_flops"]) == (91.7, 1 / 6, 1 / 7)
    assert (row["seconds"], row["validation_accuracy"]) == (33.3333, result(SPEC).history[-1]["validation_accuracy"])


@pytest.mark.parametrize("held", [0, 1])
def test_what_is_missing_is_nan(store, held):
    specs = [SPEC, tiny(seed=1)]
    for spec in specs[:held]:
        store.save(made(spec))
    frame = store.frame(specs)
    for column in ("test_accuracy", "validation_accuracy", "train_flops", "test_flops", "seconds"):
        assert pd.api.types.is_float_dtype(frame[column]), column
        assert frame[column].isna().tolist() == [not held, True], column
    assert frame["present"].dtype == bool


def test_without_validation_images_their_accuracy_is_nan(store):
    rows = tuple(row | {"validation_accuracy": None} for row in result(SPEC).history)
    store.save(made(SPEC, history=rows))
    assert math.isnan(store.frame([SPEC])["validation_accuracy"][0])


def test_the_frame_of_nothing_has_its_columns(store):
    frame = store.frame([])
    assert len(frame) == 0 and set(frame.columns) == COLUMNS


def test_a_folder_in_a_records_place_is_damage(store):
    store.path(SPEC).mkdir(parents=True)
    with pytest.raises(RecordError, match=r"is damaged: .*Restore it, or remove it"):
        store.find(SPEC)


def test_damage_lists_records_and_predictions_and_nothing_that_is_whole(store):
    whole, cut, other = (tiny(seed=seed) for seed in range(3))
    for spec in (whole, cut, other):
        kept(store, spec)
    store.path(cut).write_text("{")
    store.save_correct(other, ~store.find_correct(other))
    found = [str(error) for error in store.damage()]
    assert len(found) == 2 and str(store.path(cut)) in found[0] and str(store.path(other, CORRECT)) in found[1]


def test_a_store_may_tell_of_damage_and_go_on(store):
    kept(store, tiny(seed=1))
    store.save(made(SPEC)).write_text("{")
    told = []
    tolerant = Store(store.root, told.append)
    assert tolerant.find(SPEC) is None and [one.spec.seed for one in tolerant.records()] == [1]
    assert len(told) == 2 and tolerant == store
