"""Which code made a record: the commit, whether it was changed, or the word of who copied it."""

import subprocess

import pytest

from rigl_nb import paths
from rigl_nb.runs import origin as made


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Return a folder that provenance takes for the repository; git sees no configuration of this machine."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    for name in ("RIGL_COMMIT", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    root = tmp_path / "repository"
    (root / "rigl_nb").mkdir(parents=True)
    (root / "rigl_nb" / "masks.py").write_text("one = 1\n")
    monkeypatch.setattr(paths, "ROOT", root)
    made.provenance.cache_clear()
    yield root
    made.provenance.cache_clear()


def git(root, *words) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@b.c")
    done = subprocess.run(["git", *identity, *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(root) -> str:
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "one")
    return git(root, "rev-parse", "HEAD")


def test_the_commit_of_a_clean_tree(root):
    head = commit(root)
    (root / "notes.txt").write_text("outside the code")
    origin = made.provenance("cpu")
    assert (origin["commit"], origin["dirty"]) == (head, False)
    assert set(origin) >= {"date", "hardware", "python", "versions"}
    assert set(origin["versions"]) >= {"torch", "numpy"}


@pytest.mark.parametrize("change", ["edited", "added", "removed"])
def test_changed_code_is_dirty(root, change):
    head = commit(root)
    file = root / "rigl_nb" / ("new.py" if change == "added" else "masks.py")
    file.unlink() if change == "removed" else file.write_text("two = 2\n")
    origin = made.provenance("cpu")
    assert (origin["commit"], origin["dirty"]) == (head, True)


def test_without_git_the_environment_names_the_commit(root, monkeypatch):
    monkeypatch.setenv("RIGL_COMMIT", "abc123")
    origin = made.provenance("cpu")
    assert (origin["commit"], origin["dirty"]) == ("abc123", False)


def test_without_git_and_name_the_commit_is_unknown(root):
    origin = made.provenance("cpu")
    assert (origin["commit"], origin["dirty"]) == (None, None)


def test_without_a_git_program_too(root, monkeypatch, tmp_path):
    commit(root)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("RIGL_COMMIT", "abc123")
    assert made.provenance("cpu")["commit"] == "abc123"


def test_the_repository_around_a_copy_is_not_the_codes(root):
    """A copy without git that lies ignored in somebody's repository: that repository's commit says nothing."""
    outer = root.parent
    (outer / ".gitignore").write_text("repository/\n")
    commit(outer)
    assert made.provenance("cpu")["commit"] is None


def test_provenance_is_taken_once(root):
    """The code that a process runs is the one it has imported, whatever happens to the files."""
    commit(root)
    before = made.provenance("cpu")
    (root / "rigl_nb" / "masks.py").write_text("two = 2\n")
    assert made.provenance("cpu") == before
