"""Which test images a run got right lie beside its record, fit it, and go where it goes."""

import numpy as np
import pytest
from driving import crashing, run
from records import made, tiny

from rigl_nb import data, paths
from rigl_nb.data.sources import SOURCES
from rigl_nb.runs import engine, publishing
from rigl_nb.runs.publishing import publish
from rigl_nb.runs.record import RecordError
from rigl_nb.runs.store import CORRECT, Store

SPEC, DENSE = tiny(), tiny("Dense")
RIGHT = np.arange(300) % 7 > 0  # as many as there are digits in the test part


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """Let every commit be one that is known here."""
    monkeypatch.setattr(publishing, "has", lambda commit: True)


@pytest.fixture
def kept(store) -> Store:
    """Return a store with a made-up record and its predictions."""
    keep(store, RIGHT)
    return store


def keep(store, right, spec=SPEC):
    store.save_correct(spec, right)
    store.save(made(spec, test_accuracy=100 * int(right.sum()) / right.size))


@pytest.mark.parametrize("spec", [SPEC, DENSE], ids=lambda spec: spec.label)
def test_a_training_leaves_them(spec, store):
    assert run([spec], store) == engine.Summary(1, {})
    right = store.find_correct(spec)
    assert right.dtype == bool and right.shape == (300,) == data.load("digits").test.labels.shape
    assert 100 * right.sum() / 300 == store.find(spec).test_accuracy and 0 < right.sum() < 300
    assert store.path(spec, CORRECT).stat().st_size == 38, "a bit each"


def test_a_resumed_run_leaves_the_same(store, monkeypatch):
    with crashing(monkeypatch, 7):
        assert set(run([SPEC], store).failed) == {SPEC.run_id}
    assert not store.path(SPEC, CORRECT).exists()
    other = Store(store.root.parent / "undisturbed")
    for one in (store, other):
        assert run([SPEC], one) == engine.Summary(1, {})
    assert np.array_equal(store.find_correct(SPEC), other.find_correct(SPEC))


def test_they_are_there_before_the_record_says_so(store, monkeypatch):
    """A kill between two writes leaves a run that is not finished."""
    written, plain = [], Store.save_correct
    monkeypatch.setattr(
        Store, "save_correct", lambda self, spec, right: written.append(self.find(spec)) or plain(self, spec, right)
    )
    run([SPEC], store)
    assert written == [None]


def test_they_come_back_as_they_were(kept):
    assert np.array_equal(kept.find_correct(SPEC), RIGHT)


def test_of_text_they_come_by_character(store):
    spec, source = tiny("Dense", data="pydoc", batch_size=2000), SOURCES["pydoc"]
    right = np.random.default_rng(0).random((source.test, *source.shape)) < 0.4
    rows = tuple(row | {"validation_bits": 3.0} for row in made(spec).history)
    store.save_correct(spec, right)
    store.save(made(spec, history=rows, test_accuracy=100 * int(right.sum()) / right.size, test_bits=3.0))
    assert np.array_equal(store.find_correct(spec), right)


# ---- without them


def test_an_older_record_has_none(store):
    store.save(made(SPEC))
    assert store.find_correct(SPEC) is None and store.find_correct(DENSE) is None
    assert store.find(SPEC) == made(SPEC)


def test_an_older_run_is_not_trained_again(store):
    run([SPEC], store)
    store.path(SPEC, CORRECT).unlink()
    assert store.finished(SPEC) and run([SPEC], store) == engine.Summary(0, {})
    assert store.find_correct(SPEC) is None


def test_without_a_record_they_say_nothing(kept):
    kept.path(SPEC).unlink()
    assert kept.find_correct(SPEC) is None


# ---- damage


def flipped(bits, place):
    changed = bytearray(bits)
    changed[place // 8] ^= 128 >> place % 8
    return bytes(changed)


DAMAGE = {
    "empty": (lambda bits: b"", "its 0 bits are not those of 300 predictions"),
    "cut short": (lambda bits: bits[:-1], "its 296 bits are not those of 300 predictions"),
    "too long": (lambda bits: bits + b"\0", "its 312 bits are not those of 300 predictions"),
    "more than there are images": (lambda bits: flipped(bits, 301), "are not those of 300 predictions"),
    "one other": (lambda bits: flipped(bits, 0), r"% of its predictions are correct, but the record's .* is"),
    "another run's": (
        lambda bits: np.packbits(RIGHT & (np.arange(300) > 9)).tobytes(),
        "but the record's test accuracy",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named_with_the_way_out_and_stops_publishing(kept, case):
    change, reason = DAMAGE[case]
    path, target = kept.path(SPEC, CORRECT), Store(kept.root.parent / "results")
    path.write_bytes(change(path.read_bytes()))
    keep(kept, RIGHT, DENSE)
    for look in (lambda: kept.find_correct(SPEC), lambda: publish(kept, target, [DENSE, SPEC])):
        with pytest.raises(RecordError, match=f"is damaged: .*{reason}.* Remove it and its record") as caught:
            look()
        assert str(path) in str(caught.value)
    assert not target.root.exists()


# ---- where the record goes


def test_publishing_copies_them(kept):
    target = Store(kept.root.parent / "results")
    publish(kept, target, [SPEC])
    assert target.path(SPEC, CORRECT).read_bytes() == kept.path(SPEC, CORRECT).read_bytes()
    assert np.array_equal(target.find_correct(SPEC), RIGHT)


@pytest.mark.parametrize("held", ["nothing", "another record", "the predictions of a training that was killed"])
def test_from_another_machine_they_come_with_their_record(kept, held):
    """Or not at all: the record that is there already is of another training."""
    here = Store(kept.root.parent / "here")
    if held == "another record":
        here.save(made(SPEC, test_accuracy=12.0))
    elif held != "nothing":
        here.save_correct(SPEC, ~RIGHT)
    here.keep(SPEC, kept.files(SPEC))
    if held == "another record":
        assert here.find(SPEC).test_accuracy == 12.0 and here.find_correct(SPEC) is None
    else:
        assert np.array_equal(here.find_correct(SPEC), RIGHT)


def test_the_published_ones_fit_their_records():
    results = Store(paths.results())
    there = [record.spec for record in results.records() if results.path(record.spec, CORRECT).exists()]
    assert len(there) > 50 and all(results.find_correct(spec) is not None for spec in there)
