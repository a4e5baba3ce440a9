"""Publishing copies checked records, all or none."""

import json

import pytest
from records import files, made, tiny

from rigl_nb.runs.record import RecordError
from rigl_nb.runs.store import Store, publish

SPEC = tiny()


@pytest.fixture
def target(tmp_path) -> Store:
    return Store(tmp_path / "results")


def test_publishing_copies_what_is_asked_for(store, target):
    specs = [SPEC, tiny(seed=1), tiny("SET")]
    for spec in specs:
        store.save(made(spec))
    store.path(SPEC, ".checkpoint").write_bytes(b"...")
    done = publish(store, target, [SPEC, tiny("SET"), tiny(seed=9)])
    assert [one.spec for one in done] == [SPEC, tiny("SET")]
    assert files(target.root) == sorted(f"{s.run_id}.json" for s in (SPEC, tiny("SET")))
    assert store.path(SPEC).read_bytes() == target.path(SPEC).read_bytes()


def test_what_is_published_is_left_alone(store, target):
    target.save(made(SPEC, test_accuracy=1.0))
    store.save(made(SPEC, test_accuracy=2.0))
    assert publish(store, target, [SPEC]) == []
    assert target.find(SPEC).test_accuracy == 1.0


def test_a_run_of_two_sections_is_published_once(store, target):
    store.save(made(SPEC))
    assert len(publish(store, target, [SPEC, SPEC])) == 1


REFUSED = {
    "dirty": ({"dirty": True}, "--allow-dirty"),
    "unknown commit": ({"commit": None, "dirty": None}, "RIGL_COMMIT"),
    "empty commit": ({"commit": ""}, "RIGL_COMMIT"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_all_are_checked_before_any_is_copied(store, target, case):
    origin, way_out = REFUSED[case]
    good, bad = tiny(seed=0), tiny(seed=1)
    store.save(made(good))
    store.save(made(bad, origin))
    with pytest.raises(RecordError, match=way_out) as caught:
        publish(store, target, [good, bad])
    assert str(store.path(bad)) in str(caught.value)
    assert not target.root.exists()


def test_dirty_ones_only_when_told(store, target):
    store.save(made(SPEC, {"dirty": True}))
    assert len(publish(store, target, [SPEC], allow_dirty=True)) == 1
    assert target.find(SPEC).provenance["dirty"] is True


def test_an_unknown_commit_is_never_published(store, target):
    store.save(made(SPEC, {"commit": None, "dirty": None}))
    with pytest.raises(RecordError, match="commit"):
        publish(store, target, [SPEC], allow_dirty=True)


@pytest.mark.parametrize("where", ["source", "target"])
def test_a_damaged_record_stops_publishing(store, target, where):
    good, bad = tiny(seed=0), tiny(seed=1)
    store.save(made(good))
    broken = (store if where == "source" else target).save(made(bad))
    broken.write_text(json.dumps(json.loads(broken.read_text()) | {"run_id": "x"}))
    with pytest.raises(RecordError) as caught:
        publish(store, target, [good, bad])
    assert str(broken) in str(caught.value)
    assert target.root.exists() == (where == "target")
    assert not target.path(good).exists()
