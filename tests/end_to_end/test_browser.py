"""The report in a real browser: it loads nothing from the network, reads well on a phone, and is accessible."""

import io
import itertools
import re
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from PIL import Image

from rigl_nb import paths
from rigl_nb.report.pages import stitching

pytest_plugins = ["browsing"]

SECTIONS = tuple(path.stem for path in sorted((paths.ROOT / "notebooks").glob("[0-9]*.ipynb")))
PAGES = tuple("index" if name == stitching.FRONT else name for name in SECTIONS)
CODE = "reference"
SIZE = "e => parseFloat(getComputedStyle(e).fontSize)"
DESK = {"width": 1300, "height": 900}
LISTINGS = "08_published_code_audit"  # the page whose code is looked at; the colours are those of every page
# What is alike on every page, and would take axe minutes: letters of formulas, coloured code, all files of the code.
ALIKE = "svg > *, .highlight *"
MANY = {CODE: "main section > section:nth-of-type(n + 4)", LISTINGS: "svg > *"}
# What the theme does, not our pages: its side bar, buttons and landmarks.
OF_THE_THEME = {"landmark-unique", "landmark-no-duplicate-main", "landmark-main-is-top-level", "region"}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return the folder of a report stitched from committed notebooks, outputs as they are; nothing is printed."""
    notebooks = [paths.ROOT / "notebooks" / f"{name}.ipynb" for name in SECTIONS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stitching, "pdf", lambda page, target: False)
        return stitching.stitch(notebooks, tmp_path_factory.mktemp("browser") / "report")


@pytest.fixture(scope="module")
def page(browser, report):
    """Return the page that is a single file, opened from disk, and every address it asked for."""
    return _opened(browser, report / "report.html", viewport={"width": 1280, "height": 900})


@pytest.fixture(scope="module", params=[*PAGES, CODE])
def linked(request, browser, report):
    """Return a linked page, as wide as a desk; what it asked for; and its name."""
    page, asked = _opened(browser, report / "html" / f"{request.param}.html", viewport=DESK)
    yield page, asked, request.param
    page.close()


def _opened(browser, path, **how):
    page, asked = browser.new_page(reduced_motion="reduce", **how), []  # no colour that is on its way to another
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.evaluate("async () => { await document.fonts.ready; await window.MathJax?.startup?.promise; }")
    return page, asked


def test_no_request_leaves_the_machine(page):
    _, asked = page
    assert asked and {urlparse(url).scheme for url in asked} <= {"file", "data", "blob"}


def test_the_linked_pages_load_from_disk_alone(linked):
    page, asked, _ = linked
    assert {urlparse(url).scheme for url in asked} <= {"file", "data", "blob"}
    assert page.locator("h1").first.inner_text().strip()


def test_every_link_of_the_single_file_leads_somewhere(page):
    links = page[0].evaluate("[...document.querySelectorAll('article a[href^=\"#\"]')].map(a => a.hash.slice(1))")
    names = set(page[0].evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)"))
    lost = [link for link in map(unquote, links) if link and link not in names]
    assert links
    assert lost == []


def test_mathematics_is_typeset(page):
    assert page[0].locator("mjx-container svg").count() > 0


def test_every_picture_has_words(page):
    missing = page[0].evaluate("[...document.images].filter(i => !i.alt.trim()).map(i => i.outerHTML.slice(0, 120))")
    assert missing == []


def test_headings_skip_no_level(page):
    levels = page[0].evaluate("[...document.querySelectorAll('main h1,h2,h3,h4,h5')].map(h => +h.tagName[1])")
    assert levels and levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_player_plays(page):
    """Next shows the second picture of the first player, and hides the first."""
    player = page[0].locator(".player").first
    shown = "e => [...e.querySelectorAll('figure')].findIndex(f => f.style.display != 'none')"
    assert player.evaluate(shown) == 0
    player.locator("button", has_text="next").click()
    assert player.evaluate(shown) == 1
    player.locator("button", has_text="previous").click()
    assert player.evaluate(shown) == 0


def test_no_table_is_cut_off_on_a_desk(linked):
    page, _, name = linked
    beyond = "t => t.getBoundingClientRect().right - t.closest('.cell_output').getBoundingClientRect().right"
    tables = page.locator(".cell_output table")
    over = [tables.nth(i).evaluate(beyond) for i in range(tables.count())]
    assert bool(over) == (name != CODE) and max(over, default=0) <= 1


def test_the_front_page_answers_in_one_screen(browser, report):
    page, _ = _opened(browser, report / "html" / "index.html", viewport=DESK)
    answer = page.get_by_text("No claim has been reproduced or contradicted yet").bounding_box()
    last = page.locator("li", has_text="GPU-hours by the report’s own").bounding_box()
    listed = page.locator(".toctree-wrapper > ul").first.is_visible()
    page.close()
    assert answer["y"] < last["y"] and last["y"] + last["height"] <= 900 and not listed


def test_headings_get_smaller_by_level(browser, report):
    page, _ = _opened(browser, report / "html" / "01_mask_update.html", viewport=DESK)
    sizes = [page.locator(f"article {level}").first.evaluate(SIZE) for level in ("h1", "h2", "h3", "p")]
    page.close()
    assert all(larger >= 1.1 * smaller for larger, smaller in itertools.pairwise(sizes)), sizes


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_cells_of_a_mask_keep_their_colours(browser, report, scheme):
    """The second step shows weights kept, dropped and inactive: three colours, none of them the page's."""
    page, _ = _opened(browser, report / "html" / "01_mask_update.html", viewport=DESK, color_scheme=scheme)
    cells = page.locator(".player figure").nth(1).locator("td")
    colours = {cells.nth(i).evaluate("e => getComputedStyle(e).backgroundColor") for i in range(cells.count())}
    page.close()
    assert len(colours) == 3 and "rgba(0, 0, 0, 0)" not in colours


@pytest.mark.parametrize("shown", ["#figure-1 img", ".player img"])
def test_in_the_dark_drawings_are_light_ink_on_the_pages_colour(browser, report, shown):
    name = "05_1_cifar10" if shown.startswith("#") else "11_runs"
    page, _ = _opened(browser, report / "html" / f"{name}.html", viewport=DESK, color_scheme="dark")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    picture = page.locator(shown).first.screenshot()
    page.close()
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("L"), int)
    wanted = int(re.findall(r"\d+", paper)[0])
    assert wanted < 40 and abs(np.median(pixels) - wanted) <= 2
    assert np.percentile(pixels, 99) > 150 and pixels.min() >= wanted - 2


def test_on_a_phone_verdicts_are_in_sight_and_wide_tables_say_that_they_scroll(browser, report):
    page, _ = _opened(browser, report / "html" / "05_1_cifar10.html", viewport={"width": 420, "height": 900})
    verdicts = page.locator("table.board td[data-label]")
    ends = [verdicts.nth(i).bounding_box() for i in range(verdicts.count())]
    wide = page.locator(".text_html:has(#T_table2)")
    hint = wide.evaluate("e => [e.scrollWidth > e.clientWidth, getComputedStyle(e).backgroundImage]")
    page.close()
    assert ends and all(end["x"] >= 0 and end["x"] + end["width"] <= 420 for end in ends)
    assert hint[0] and hint[1].count("linear-gradient") == 4


@pytest.mark.parametrize("name", ["07_discussion", CODE])
def test_on_a_phone_nothing_but_wide_tables_and_code_scrolls_sideways(browser, report, name):
    page, _ = _opened(browser, report / "html" / f"{name}.html", viewport={"width": 390, "height": 800})
    width = page.evaluate("document.documentElement.scrollWidth")
    page.close()
    assert width <= 400


def test_accessible(linked):
    page, _, name = linked
    assert faults(page, name) == {}


@pytest.mark.parametrize("name", ["index", "07_discussion", CODE])
def test_accessible_in_the_dark(browser, report, name):
    page, _ = _opened(browser, report / "html" / f"{name}.html", viewport=DESK, color_scheme="dark")
    found = faults(page, name)
    page.close()
    assert found == {}


def faults(page, name) -> dict:
    """Return what axe calls a serious fault: contrast, alternative texts, labels, language. The page loses parts."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"]}  # not what passed, which is megabytes
    page.evaluate("alike => document.querySelectorAll(alike).forEach(e => e.remove())", MANY.get(name, ALIKE))
    found = Axe().run(page, options=options).response["violations"]
    return {
        one["id"]: [node["html"][:150] for node in one["nodes"][:3]]
        for one in found
        if one["impact"] in ("serious", "critical") and one["id"] not in OF_THE_THEME
    }
