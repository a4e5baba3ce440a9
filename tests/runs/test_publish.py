"""Publishing copies checked records, all or none."""

import json
import subprocess

import pytest
from records import ORIGIN, files, kept, made, tiny

from rigl_nb.runs import origin, publishing
from rigl_nb.runs.publishing import publish
from rigl_nb.runs.record import RecordError
from rigl_nb.runs.store import CORRECT, MASKS, Store

SPEC = tiny()


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """Let the commit of made-up records be one that is known here."""
    monkeypatch.setattr(publishing, "has", lambda commit: commit == ORIGIN["commit"])


@pytest.fixture
def target(tmp_path) -> Store:
    return Store(tmp_path / "results")


def test_publishing_copies_what_is_asked_for(store, target):
    specs = [SPEC, tiny(seed=1), tiny("SET")]
    for spec in specs:
        kept(store, spec)
    store.path(SPEC, ".checkpoint").write_bytes(b"...")
    done = publish(store, target, [SPEC, tiny("SET"), tiny(seed=9)])
    assert [one.spec for one in done] == [SPEC, tiny("SET")]
    assert files(target.root) == sorted(f"{s.run_id}{end}" for s in (SPEC, tiny("SET")) for end in (".json", CORRECT))
    assert store.path(SPEC).read_bytes() == target.path(SPEC).read_bytes()


def test_what_is_published_is_left_alone_and_told(store, target):
    target.save(made(SPEC, test_accuracy=1.0))
    store.save(made(SPEC, test_accuracy=2.0))
    for one in (store, target):
        one.save(made(tiny(seed=1)))
    assert publish(store, target, [SPEC, tiny(seed=1)]) == []
    assert target.find(SPEC).test_accuracy == 1.0
    assert publishing.others(store, target, [SPEC, SPEC, tiny(seed=1), tiny(seed=2)]) == [SPEC]


def test_a_run_of_two_sections_is_published_once(store, target):
    kept(store, SPEC)
    assert len(publish(store, target, [SPEC, SPEC])) == 1


REFUSED = {
    "dirty": ({"dirty": True}, "--allow-dirty"),
    "unknown commit": ({"commit": None, "dirty": None}, "RIGL_COMMIT"),
    "empty commit": ({"commit": ""}, "RIGL_COMMIT"),
    "a commit of nobody": ({"commit": "f" * 40}, "commit fffffffff, which this repository does not have: fetch it"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_all_are_checked_before_any_is_copied(store, target, case):
    origin, way_out = REFUSED[case]
    good, bad = tiny(seed=0), tiny(seed=1)
    kept(store, good)
    kept(store, bad, origin)
    with pytest.raises(RecordError, match=way_out) as caught:
        publish(store, target, [good, bad])
    assert str(store.path(bad)) in str(caught.value)
    assert not target.root.exists()


def test_a_commit_may_be_abbreviated(store, target, monkeypatch):
    """`RIGL_COMMIT` is what its maker wrote."""
    monkeypatch.setattr(publishing, "has", lambda commit: ORIGIN["commit"].startswith(commit))
    kept(store, SPEC, {"commit": ORIGIN["commit"][:9]})
    assert len(publish(store, target, [SPEC])) == 1


def test_dirty_ones_only_when_told(store, target):
    kept(store, SPEC, {"dirty": True})
    assert len(publish(store, target, [SPEC], allow_dirty=True)) == 1
    assert target.find(SPEC).provenance["dirty"] is True


def test_an_unknown_commit_is_never_published(store, target):
    kept(store, SPEC, {"commit": None, "dirty": None})
    with pytest.raises(RecordError, match="commit"):
        publish(store, target, [SPEC], allow_dirty=True)


@pytest.mark.parametrize("where", ["source", "target"])
def test_a_damaged_record_stops_publishing(store, target, where):
    good, bad = tiny(seed=0), tiny(seed=1)
    kept(store, good)
    broken = (store if where == "source" else target).save(made(bad))
    broken.write_text(json.dumps(json.loads(broken.read_text()) | {"run_id": "x"}))
    with pytest.raises(RecordError) as caught:
        publish(store, target, [good, bad])
    assert str(broken) in str(caught.value)
    assert target.root.exists() == (where == "target")
    assert not target.path(good).exists()


def test_a_record_without_its_predictions_is_refused(store, target):
    """Nobody could check its accuracy; whoever copies single files learns to copy the folder."""
    kept(store, SPEC)
    store.path(SPEC, CORRECT).unlink()
    with pytest.raises(RecordError, match="nobody can check the accuracy: copy the whole folder of a run") as caught:
        publish(store, target, [SPEC])
    assert str(store.path(SPEC, CORRECT)) in str(caught.value) and not target.root.exists()


# ---- the repository's commits


def git(folder, *words):
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(
        ["git", *who, "-C", folder, *words], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_damaged_masks_of_a_parent_stop_publishing(store, target):
    parent = tiny("Pruning")
    for spec in (parent, tiny("Lottery")):
        kept(store, spec)
    store.path(parent, MASKS).write_bytes(b"garbage")
    with pytest.raises(RecordError, match="is damaged"):
        publish(store, target, [parent, tiny("Lottery")])
    assert not target.root.exists()


@pytest.fixture
def repository(monkeypatch, tmp_path, request):
    """Return a copy of the package's folder, nearly empty, as the place that is asked."""
    monkeypatch.undo()  # the real `has`
    (tmp_path / "copy" / "rigl_nb").mkdir(parents=True)
    (tmp_path / "copy" / "rigl_nb" / "x.py").touch()
    monkeypatch.setattr(origin.paths, "ROOT", tmp_path / "copy")
    return tmp_path / "copy"


def test_a_commit_is_looked_for_in_the_repository(repository):
    git(repository, "init", "-q")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "first")
    assert origin.has(git(repository, "rev-parse", "HEAD"))
    assert not origin.has(git(repository, "rev-parse", "HEAD^{tree}")), "a tree is no commit"
    assert not origin.has("f" * 40) and not origin.has("no commit")


@pytest.mark.parametrize("around", [False, True])
def test_where_no_git_can_tell_every_commit_counts(repository, around):
    """Also where another project's repository is around the copy."""
    if around:
        git(repository.parent, "init", "-q")
    assert origin.has("f" * 40)


def test_without_git_at_all(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert origin.has("f" * 40)
