"""The notebooks in JupyterLab, in a real browser: run all cells, move every control, read what they show."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from driving import run
from lab import NAMES, TRAINED, answering, changed, errors, free_port, run_all, wait_until_run

from rigl_nb import paths
from rigl_nb.execution import Execution
from rigl_nb.experiments import grids
from rigl_nb.report.sections import all_runs
from rigl_nb.runs.store import Store

pytest_plugins = ["browsing", "lab"]

STEPPER = ".widget-vbox:has(> .widget-hbox > button:has-text('next'))"
WITH_MENUS = "02_initialisation", "03_flops"
STEPPED = "01_mask_update"


def move_stepper(page, stepper):
    """Next, previous and play move label and picture; at the first step there is no previous one."""
    label, picture = stepper.locator("> .widget-hbox > .widget-label"), stepper.locator(".widget-html-content")
    first = label.inner_text()
    stepper.get_by_role("button", name="previous").click()
    changed(page, picture, stepper.get_by_role("button", name="next").click)
    second = label.inner_text()
    assert second != first
    changed(page, picture, stepper.get_by_role("button", name="previous").click)
    assert label.inner_text() == first
    changed(page, picture, stepper.locator(".widget-play button").first.click)
    assert label.inner_text() != first
    stepper.locator(".widget-play button").nth(1).click()  # it stops, and goes back to the start
    page.wait_for_function("([e, words]) => e.textContent == words", arg=[label.element_handle(), first])


@pytest.mark.parametrize(
    "name", [name if name == STEPPED else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_all_cells_run_and_every_control_moves(notebook, server, name):
    page = notebook(name)
    if name.startswith("05_1"):
        stop_and_go_on(page, server[1])
    wait_until_run(page)
    assert errors(page) == []
    if not name.startswith(("01", "02")):  # figures and printed text
        assert page.locator(".jp-OutputArea table").count() >= 1
    if name in WITH_MENUS:
        choose_every_value(page)
    if name.startswith("01"):
        for number in (0, 1):
            move_stepper(page, page.locator(STEPPER).nth(number))
        point_at_a_weight(page)
        train_another(page)
    if name.startswith("11"):
        choose_runs(page, server[1])
    if name.startswith("13"):
        move_stepper(page, page.locator(STEPPER))


def choose_every_value(page):
    """The picture's words name what every menu says."""
    picture = page.locator(".widget-vbox:has(select) .widget-html-content")
    drawn = "([e, words]) => [...e.querySelectorAll('img')].some(i => i.alt.includes(words) && i.naturalWidth > 300)"
    menus = page.locator(".widget-vbox .widget-dropdown select")
    menus.nth(1).wait_for()
    for number in range(menus.count()):
        menu = menus.nth(number)
        for option in reversed(menu.locator("option").all_inner_texts()):
            menu.select_option(label=option)
            page.wait_for_function(drawn, arg=[picture.element_handle(), "= " + option.replace("\xa0", " ")])


def point_at_a_weight(page):
    """Under the mouse a cell has an outline, and words that agree with the picture."""
    stepper = page.locator(STEPPER).first
    changed(page, stepper.locator(".widget-html-content"), stepper.get_by_role("button", name="next").click)
    cell = stepper.locator("td").nth(2)
    cell.hover()
    assert cell.evaluate("e => getComputedStyle(e).outlineWidth") == "2px"
    place, numbers, reason = cell.get_attribute("title").split("\n")
    assert (place, numbers) == ("index 2: row 0, column 2", "weight -0.1, gradient 0.1")
    assert reason == "dropped: |weight| 0.1 is among the 2 smallest of 4 active weights"
    assert "×" in cell.inner_text()
    large = page.locator(STEPPER).nth(1).locator("td")
    assert large.count() == 32 * 64
    found = large.evaluate_all("cells => cells.map(e => e.title.split('\\n')[2].split(':')[0])")
    assert {"kept", "dropped", "grown", "left out"} >= set(found) and found.count("kept") > 100


def train_another(page):
    """Another method trains again, and its words say that chance decides; the bars below follow their menus too."""
    view = page.locator(".widget-interact")
    view.locator("select").first.select_option(label="SET")
    grown = "() => [...document.querySelectorAll('.widget-interact td')].some(e => e.title.includes('drawn at random'))"
    page.wait_for_function(grown)
    bars = page.locator(".widget-vbox:has(> .widget-hbox > .widget-dropdown)").last
    for menu, option in zip(bars.locator("select").all(), ("SET", "0.5"), strict=True):
        changed(page, bars.locator(".widget-html-content"), lambda menu=menu, o=option: menu.select_option(label=o))
    assert bars.locator("img").get_attribute("alt") == "method = SET, alpha = 0.5"


def choose_runs(page, folder):
    """Menus of several values: counts and figure follow; nothing marked means every value."""
    specs = [record.spec for root in (paths.results(), folder / "build" / "runs") for record in Store(root).records()]
    view = page.locator(".widget-vbox:has(> .widget-hbox .widget-select-multiple)")
    menus = view.locator("select")
    assert view.locator(".widget-vbox > .widget-label").all_inner_texts() == list(all_runs.FACETS)
    picture = view.locator("> .widget-html .widget-html-content").last

    def shown(chosen):
        wanted = f"{len(chosen)} runs of {len({spec.config_id for spec in chosen})} configurations"
        page.wait_for_function(
            "([e, words]) => e.querySelector('img')?.alt == words",
            arg=[picture.element_handle(), f"training plots of {wanted}"],
        )
        assert view.get_by_text(wanted, exact=True).is_visible()

    menus.nth(2).select_option(label="SET")  # one menu after the other: from here on all values but the method's
    for place in (0, 1, 3, 4, 5):
        menus.nth(place).select_option([])
    shown([spec for spec in specs if spec.method == "SET"])
    menus.nth(2).select_option(label=["SET", "SNFS"])
    shown([spec for spec in specs if spec.method in ("SET", "SNFS")])
    menus.nth(3).select_option(label="ERK")
    shown([spec for spec in specs if spec.method in ("SET", "SNFS") and spec.init == "ERK"])
    menus.nth(5).select_option(label="2×")
    view.get_by_text("No run has all of these values.").wait_for()


def stop_and_go_on(page, folder):
    """The Stop button leaves a checkpoint, the same cells go on from it and end with an undisturbed run's numbers."""
    (spec,) = grids.specs("05_1", "smoke", **TRAINED)
    local = Store(folder / "build" / "runs")
    bars = page.locator(".jp-OutputArea .widget-hbox", has=page.locator(".progress"))
    bars.get_by_text("validation").wait_for()
    page.locator(".jp-OutputArea button", has_text="Stop").click()
    page.get_by_text("stopped: 1 run left, the same cell goes on from here").wait_for()
    wait_until_run(page)
    held = torch.load(local.path(spec, ".checkpoint"), weights_only=True)["step"]
    assert 0 < held < spec.total_steps and local.find(spec) is None
    page.locator(".jp-CodeCell", has_text="shared.train(").locator(".jp-InputArea-editor").click()
    run_all(page, "Run Selected Cell and All Below")
    undisturbed = Store(folder / "undisturbed")
    run([spec], undisturbed, execution=Execution.best(threads=1))  # while the kernel trains
    page.locator("caption", has_text="On this machine: digits").wait_for()
    wait_until_run(page)
    assert page.get_by_text("1 of 1 runs").is_visible()
    assert local.find(spec).numbers() == undisturbed.find(spec).numbers()


def test_make_lab_opens_the_overview(browser, tmp_path):
    """The Makefile's own command, in a browser that was never used: one notebook, and nothing on top of it."""
    (tmp_path / "config").mkdir()
    settings = {"allow_root": True, "port": free_port(), "port_retries": 0}
    (tmp_path / "config" / "jupyter_server_config.json").write_text(json.dumps({"ServerApp": settings}))
    opener = tmp_path / "opener"
    opener.write_text(
        f'#!/bin/sh\necho "$1" > {tmp_path}/address.part && mv {tmp_path}/address.part {tmp_path}/address\n'
    )
    opener.chmod(0o755)
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTERLAB_WORKSPACES_DIR": "spaces"}
    mine = os.environ | {name: str(tmp_path / folder) for name, folder in folders.items()}
    mine |= {"BROWSER": f"{opener} %s", "RIGL_BUILD": str(tmp_path / "build")}
    command = ["make", "lab", f"PYTHON={sys.executable}"]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(
            command, cwd=paths.ROOT, env=mine, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            answering(f"http://127.0.0.1:{settings['port']}", process, tmp_path / "log")
            page = browser.new_page(viewport={"width": 1500, "height": 3_000})
            page.goto(_written(tmp_path / "address", process))
            page.locator(".jp-Notebook .jp-OutputArea table").first.wait_for()
            page.locator(".jp-Notebook td", has_text="undecided").first.wait_for()  # though nothing has run here yet
            page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
            assert page.locator(".lm-DockPanel .lm-TabBar-tab").all_inner_texts() == ["00_overview.ipynb"]
            assert page.locator("dialog.jp-Dialog, .jp-toast-container .Toastify__toast").count() == 0
            page.close()
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _written(file, process) -> str:
    while not file.exists():
        assert process.poll() is None
        time.sleep(0.1)
    return file.read_text().strip()
