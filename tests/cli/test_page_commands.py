"""The commands that make pages: what they train, say and leave to the report's own module."""

import pytest
from records import made

from rigl_nb.experiments import grids
from rigl_nb.runs import engine

pytest_plugins = ["commands"]


@pytest.fixture
def build(monkeypatch):
    """Return the module that makes reports, here of nothing."""
    build = pytest.importorskip("rigl_nb.report.pages.build")
    monkeypatch.setattr("rigl_nb.report.pages.kernels.warm", lambda: None)
    monkeypatch.setattr(build, "first", lambda names: "first.html")
    return build


def test_reproduce_trains_then_builds(call, local, tiny, build, monkeypatch):
    """A first page; the whole profile, here with a training that only leaves records; then one report of it."""
    calls = []
    monkeypatch.setattr(build, "first", lambda names: calls.append(names) or "first.html")

    def trained(specs, store, published=(), **options):
        for spec in engine.missing(specs, store, *published):
            store.save(made(spec))
        calls.append("trained")
        return engine.Summary(len(specs), {})

    monkeypatch.setattr(engine, "run", trained)
    monkeypatch.setattr(build, "reproduce", lambda names, profile: calls.append((names, profile)) or "page.html")
    code, out, err = call("reproduce", "--sections", "05_1")
    assert (code, out) == (0, "page.html\n")
    assert err.index("first.html") < err.index("to train") and "cost: about" in err
    assert calls == [["05_1"], "trained", (["05_1"], "smoke")]
    assert {one.spec for one in local.records()} == set(grids.specs("05_1", "smoke"))
    assert call("report", "--sections", "05_1")[:2] == (0, "page.html\n")
    assert calls[3:] == [(["05_1"], "")]
    monkeypatch.setattr(build, "site", lambda names: "folder")
    assert call("site", "--sections", "05_1")[:2] == (0, "folder\n")


def test_reproduce_stops_where_training_failed(call, local, tiny, build, monkeypatch):
    monkeypatch.setattr(build, "reproduce", lambda *a, **k: pytest.fail("no report of failed runs"))
    monkeypatch.setattr(engine, "run", lambda *a, **k: engine.Summary(0, {"some/seed-0": "RuntimeError: boom"}))
    code, out, err = call("reproduce", "--sections", "05_1")
    assert (code, out) == (1, "")
    assert "some/seed-0: RuntimeError: boom" in err
