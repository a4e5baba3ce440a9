"""The commands that make pages, on three notebooks: which sections, what is made at first, in full, and for a host."""

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import nbformat
import pytest

from rigl_nb.report.pages import build, stitching
from rigl_nb.report.pages.execute import read
from rigl_nb.report.pages.stitching import FRONT

pytest_plugins = ["browsing"]


def test_sections_are_found_by_number(tmp_path, monkeypatch):
    monkeypatch.setattr(build.paths, "ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()
    for name in ("06_2_redistribution", "00_overview", "05_1_cifar10"):
        (tmp_path / "notebooks" / f"{name}.py").touch()
    assert build.sections() == ["00", "05_1", "06_2"]
    assert build.sections(["06_2", "00"]) == ["00", "06_2"]
    with pytest.raises(ValueError, match="no notebook for section '09': there are 00, 05_1, 06_2"):
        build.sections(["09"])


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """Return a folder of three sources, the front page first, in a project that has nothing else."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "docs").symlink_to(build.paths.ROOT / "docs")
    monkeypatch.setattr(build.paths, "ROOT", tmp_path)
    monkeypatch.setenv("RIGL_BUILD", str(tmp_path / "out"))
    cells = '# %% tags=["parameters"]\nprofile = ""\ninteractive = True\n\n# %%\nprint("profile:", profile)\n'
    linked = f"# %% [markdown]\n# Back to [the front]({FRONT}.ipynb#evidence).\n"
    for name, title, tail in (
        (FRONT, "Front\n#\n# ## Evidence", ""),
        ("01_one", "One", linked),
        ("02_two", "Not asked for", ""),
    ):
        source = f"# %% [markdown]\n# # {title}\n\n{cells}\n{tail}"
        (tmp_path / "notebooks" / f"{name}.py").write_text(source)
    return tmp_path / "notebooks"


def test_commands_take_sections(notebooks, monkeypatch):
    """`reproduce` runs the .ipynb that `make_notebooks` wrote, and leaves the report in the build folder.

    The front page's notebook becomes index.html; in the single file the others follow as sections of that level.
    """
    with pytest.raises(ValueError, match=r"01_one.ipynb does not exist: `python -m rigl_nb notebooks` makes it"):
        build.reproduce(["01"], "smoke")
    assert build.make_notebooks(["00", "01"]) == [notebooks / f"{FRONT}.ipynb", notebooks / "01_one.ipynb"]
    early = build.first(["00", "01"])
    assert "profile:" in early.read_text() and "profile: smoke" not in early.read_text()
    assert not (build.paths.build() / "notebooks").exists(), "nothing is executed for it"
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(stitching, "_sphinx", lambda *how: 1 / 0)
        stitching.stitch([notebooks / "01_one.ipynb"], early.parent)
    assert "profile:" in early.read_text(), "a report stays until the next one is whole"
    page = build.reproduce(["00", "01"], "smoke")
    assert page == early == build.first(["00", "01"]) == build.paths.build() / "report" / "report.html"
    assert "profile: smoke" in page.read_text()
    assert "Not asked for" not in page.read_text()
    index = (page.parent / "html" / "index.html").read_text()
    assert "<h1>Front" in index and 'href="01_one.html"' in index
    assert 'href="index.html#evidence"' in (page.parent / "html" / "01_one.html").read_text()
    single = page.read_text().partition("<article")[2]
    assert re.findall(r"<h([12])>(Front|Evidence|One|Contents)<", single) == [
        ("1", "Front"),
        ("2", "Evidence"),
        ("2", "One"),
    ]


class Quiet(SimpleHTTPRequestHandler):
    """A host of static pages that keeps no log."""

    def log_message(self, *words):
        pass


def test_the_site_works_on_a_plain_host_below_any_address(notebooks, browser):
    """As GitHub serves it, in a folder of the address: nothing is asked for outside of it, and nothing is missing."""
    for source in notebooks.glob("0[01]*.py"):
        nbformat.write(read(source), source.with_suffix(".ipynb"))
    folder = build.site(["00", "01"])
    assert {"index.html", "report.html", "report.ipynb", ".nojekyll"} <= {path.name for path in folder.iterdir()}
    assert not list(folder.parent.glob("report*")), "the report of this machine is another thing"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder.parent)) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{host.server_port}/{folder.name}/"
        page, answers = browser.new_page(), []
        page.on("response", lambda response: answers.append((response.url, response.status)))
        page.goto(address)
        page.click("text=One")
        page.wait_for_url(f"{address}01_one.html")
        page.click("text=the front")
        page.wait_for_url(f"{address}index.html#evidence")
        page.goto(f"{address}search.html?q=evidence")
        page.wait_for_selector("#search-results a[href*='index.html']")
        host.shutdown()
    assert answers and all(url.startswith(address) and status < 400 for url, status in answers), answers
