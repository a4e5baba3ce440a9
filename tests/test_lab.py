"""The notebooks in JupyterLab, in a real browser: run all cells, move the controls, read what they show."""

import os
import shutil
import socket
import subprocess
import sys
import time
from urllib.request import urlopen

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from rigl_nb import paths

pytest_plugins = ["browsing"]

PROMPTS = "const texts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.textContent.trim());"
LONGEST = 120_000  # milliseconds for a notebook to run, on a busy machine


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return the address of a JupyterLab on a copy of the notebooks, with the project's own settings."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(paths.ROOT / "notebooks", folder / "notebooks")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "JUPYTER_CONFIG_PATH": str(paths.ROOT / "notebooks" / ".jupyter"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "RIGL_BUILD": str(folder / "build"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--ServerApp.token=", "--ServerApp.password=", f"--ServerApp.root_dir={folder / 'notebooks'}"]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield _answering(f"http://127.0.0.1:{port}", process, folder / "log")
        finally:
            process.terminate()
            process.wait(30)


def _answering(address, process, log):
    for _ in range(120):
        assert process.poll() is None, log.read_text()
        try:
            with urlopen(f"{address}/lab", timeout=5):
                return address
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"JupyterLab does not answer: {log.read_text()}")


@pytest.fixture
def run_all(browser, server):
    """Return a function that opens a notebook, runs all of its cells, and returns the page."""
    pages = []

    def run(name):
        page = browser.new_page(viewport={"width": 1500, "height": 30_000})  # Lab keeps only cells in sight
        pages.append(page)
        page.set_default_timeout(LONGEST)
        try:
            _run(page, f"{server}/lab/tree/{name}.ipynb?reset")
        except PlaywrightTimeout:  # on a busy machine the first connection to a kernel can get lost
            _run(page, f"{server}/lab/tree/{name}.ipynb?reset")
        return page

    yield run
    for page in pages:
        page.close()


def _run(page, address):
    page.goto(address)
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
    _start(page)
    page.wait_for_function(f"() => {{ {PROMPTS} return texts.every(text => /^\\[\\d+\\]:$/.test(text)); }}")


def _start(page):
    """Run all cells; again where the kernel was not ready, and Lab only cleared the outputs, or said so."""
    for _ in range(8):
        if (said := page.locator("dialog.jp-Dialog")).count():
            said.locator(".jp-mod-accept").first.click()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            page.wait_for_function(f"() => {{ {PROMPTS} return texts.includes('[*]:'); }}", timeout=5_000)
            return
        except PlaywrightTimeout:
            pass
    raise PlaywrightTimeout("no cell began to run")


def errors(page) -> list[str]:
    return page.locator(
        ".jp-OutputArea-output[data-mime-type*=error], .jp-RenderedText[data-mime-type*=stderr]"
    ).all_inner_texts()


@pytest.mark.parametrize("name", ["00_overview", "05_1_cifar10"])
def test_run_all_shows_the_tables(run_all, name):
    page = run_all(name)
    assert errors(page) == []
    assert page.locator(".jp-OutputArea table").count() >= 2


def test_the_mask_update_is_stepped_through(run_all):
    """Next and previous move the label and change the picture; at the ends nothing happens."""
    page = run_all("01_mask_update")
    assert errors(page) == []
    player = page.locator(".widget-vbox", has=page.get_by_role("button", name="next")).first
    picture, label = player.locator("img").first, player.locator(".widget-label").last
    first, words = picture.get_attribute("src"), label.inner_text()
    player.get_by_role("button", name="previous").click()
    assert label.inner_text() == words
    player.get_by_role("button", name="next").click()
    page.wait_for_function("([e, old]) => e.textContent != old", arg=[label.element_handle(), words])
    page.wait_for_function("([e, old]) => e.src != old", arg=[picture.element_handle(), first])
    player.get_by_role("button", name="previous").click()
    page.wait_for_function("([e, old]) => e.textContent == old", arg=[label.element_handle(), words])


@pytest.mark.parametrize("name", ["02_initialisation", "03_flops"])
def test_a_menu_redraws_its_picture(run_all, name):
    page = run_all(name)
    assert errors(page) == []
    box = page.locator(".widget-vbox", has=page.locator("select")).first
    menu, picture = box.locator("select").last, box.locator("img").first
    before = picture.get_attribute("src")
    options = menu.locator("option").all_inner_texts()
    menu.select_option(index=len(options) - 1)
    page.wait_for_function("([e, old]) => e.src != old", arg=[picture.element_handle(), before])
