"""JupyterLab in a real browser: a server on a copy of the notebooks, and notebooks that were run there."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from urllib.request import urlopen

import nbformat
import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from rigl_nb import paths

# Of the cells whose code is not folded: a folded one has no prompt. The last one of every notebook is open.
PROMPTS = (
    "const texts = [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].map(e => e.textContent.trim());"
)
LONGEST = 120_000  # milliseconds for a notebook to run, on a busy machine
EVERY = 250  # milliseconds until a page is looked at again: by itself playwright does so at every frame
AHEAD = 1  # notebooks that run already while a test looks at another
CONTROLS = re.compile(r"widgets\.(stepper|controls)\(|^if interactive:", re.MULTILINE)
TRAINED = {"method": "RigL", "init": "ERK", "multiplier": 1, "data": "digits"}  # the smoke run of 05_1
PARAMETERS = {"05_1_cifar10": f'profile = "smoke"\nfilters = {TRAINED}\nworkers = 1\ninteractive = True'}
# What has something to move here; nbval runs every notebook.
NAMES = [
    path.stem
    for path in sorted((paths.ROOT / "notebooks").glob("[0-9]*.py"))
    if path.stem in PARAMETERS or CONTROLS.search(path.read_text())
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return (address, folder) of a JupyterLab on a copy of the notebooks, with the project's own settings."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(paths.ROOT / "notebooks", folder / "notebooks")
    for name, text in PARAMETERS.items():
        _parametrise(folder / "notebooks" / f"{name}.ipynb", text)
    whole = folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    whole.parent.mkdir(parents=True)
    whole.write_text('{"windowingMode": "none"}')  # by itself Lab keeps only cells in sight
    settings = {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTER_CONFIG_PATH": str(paths.ROOT / "notebooks" / ".jupyter"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "RIGL_BUILD": str(folder / "build"),
        "OMP_NUM_THREADS": "1",  # two kernels on two cores
    }
    port = free_port()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--ServerApp.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True"]
    command += [f"--ServerApp.root_dir={folder / 'notebooks'}", "--LabApp.expose_app_in_browser=True"]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield answering(f"http://127.0.0.1:{port}", process, folder / "log"), folder
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:  # now and then the server hangs while its extensions shut down
                process.kill()
                process.wait()


def _parametrise(path, text):
    """Write other parameters into a notebook, and drop its .py, which Lab would read instead."""
    notebook = nbformat.read(path, 4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    cell.source = text
    nbformat.write(notebook, path)
    path.with_suffix(".py").unlink()


def answering(address, process, log) -> str:
    """Wait until Lab answers; return its address."""
    for _ in range(240):
        assert process.poll() is None, log.read_text()
        try:
            with urlopen(f"{address}/lab", timeout=5):
                return address
        except OSError:
            time.sleep(0.25)
    raise AssertionError(f"JupyterLab does not answer: {log.read_text()}")


@pytest.fixture(scope="module")
def notebook(request, browser, server):
    """Return a function that gives the page of a notebook all of whose cells have run; the next one runs meanwhile.

    Two pages with a kernel each show one notebook after the other: to load Lab, or torch, anew takes as long as most
    notebooks. That each of them runs in a fresh kernel is what nbval tests.
    """
    address, pages, free = server[0], {}, []
    asked = [item.callspec.params["name"] for item in request.session.items if request.fixturename in item.fixturenames]

    def begin(name):
        if name not in pages:
            page, kernel = free.pop() if free else (browser.new_page(viewport={"width": 1500, "height": 1_000}), None)
            pages[name] = page
            page.set_default_timeout(LONGEST)
            _open(page, address, f"{name}.ipynb", kernel)

    def run(name):
        for other in [other for other in pages if asked.index(other) < asked.index(name)]:
            page = pages.pop(other)
            free.append((page, _leave(page)))
        for other in asked[asked.index(name) :][: AHEAD + 1]:
            begin(other)
        return pages[name]

    yield run


def _leave(page) -> str:
    """Close a notebook, unsaved; its kernel, whose id is returned, keeps what is imported, and nothing else."""
    return page.evaluate(
        """async code => {
            const notebook = window.jupyterapp.shell.currentWidget, kernel = notebook.sessionContext.session.kernel;
            await kernel.requestExecute({code}).done;
            notebook.dispose();
            return kernel.id;
        }""",
        "import ipywidgets\nipywidgets.Widget.close_all()\n%reset -f",
    )


def _open(page, address, name, kernel):
    """Open a notebook and let it run; once more where, on a busy machine, the first connection got lost."""
    for attempt in (1, 2):
        try:
            if kernel and attempt == 1:
                which = {"path": name, "kernel": {"id": kernel}}
                page.evaluate("which => void window.jupyterapp.commands.execute('docmanager:open', which)", which)
            else:
                page.goto(f"{address}/lab/tree/{name}?reset")
            page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
            page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
            run_all(page)
            return
        except PlaywrightTimeout:
            if attempt == 2:
                raise


def run_all(page, what="Run All Cells"):
    """Start all cells; again where the kernel was not ready, and Lab only cleared the outputs, or said so."""
    for _ in range(8):
        if (said := page.locator("dialog.jp-Dialog")).count():
            said.locator(".jp-mod-accept").first.click()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name=what, exact=True).click()
        try:
            page.wait_for_function(f"() => {{ {PROMPTS} return texts.includes('[*]:'); }}", timeout=5_000)
            return
        except PlaywrightTimeout:
            pass
    raise PlaywrightTimeout("no cell began to run")


def wait_until_run(page):
    """Wait until every cell has its number."""
    done = f"() => {{ {PROMPTS} return texts.every(text => /^\\[\\d+\\]:$/.test(text)); }}"
    page.wait_for_function(done, polling=EVERY)


def errors(page) -> list[str]:
    """What cells wrote to standard error, and their exceptions."""
    wrong = ".jp-OutputArea-output[data-mime-type*=error], .jp-RenderedText[data-mime-type*=stderr]"
    return page.locator(wrong).all_inner_texts()


def changed(page, part, act):
    """Do something and wait until the part of the page looks different."""
    before = part.evaluate("e => e.innerHTML")
    act()
    page.wait_for_function("([e, old]) => e.innerHTML != old", arg=[part.element_handle(), before], polling=EVERY)
