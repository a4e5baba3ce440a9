"""Settings that every test shares: one thread (bitwise equality), and property tests without time limits."""

import signal

import pytest
import synthetic
import torch
from hypothesis import settings
from recorder import recorded  # noqa: F401  # a fixture for all

from rigl_nb.data.sources import SOURCES
from rigl_nb.runs import turns
from rigl_nb.runs.store import Store

pytest.register_assert_rewrite("browsing", "lab")  # a test imports from them before pytest does
torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and tests interrupt
settings.register_profile("rigl", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("rigl")


LONGEST = (
    "test_lab",
    "test_reproduce",
    "test_browser",
    "test_cluster",
    "test_stitching",
    "test_interruption",
    "test_budget",
    "test_slurm",
    "test_kills",
)


def pytest_collection_modifyitems(items):
    """Begin with the files that take minutes, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: [*LONGEST, item.path.stem].index(item.path.stem))


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Return an empty data root, beside an empty build root; CIFAR has the sizes of the look-alikes."""
    monkeypatch.setenv("RIGL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RIGL_BUILD", str(tmp_path / "build"))
    for name in synthetic.LABELS:
        monkeypatch.setitem(SOURCES, name, synthetic.sized(name))
    return tmp_path / "data"


@pytest.fixture
def store(tmp_path) -> Store:
    """Return a store in a folder that does not exist yet."""
    return Store(tmp_path / "runs")


@pytest.fixture
def chatty(monkeypatch) -> None:
    """Let the engine tell of every iteration, and look again at once."""
    monkeypatch.setattr(turns, "NOTIFY_EVERY", 0)
    monkeypatch.setattr(turns, "LOOK_AGAIN", 0.01)
