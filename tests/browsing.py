"""A real browser for tests: the system's Chromium, which is never downloaded; skipped where there is none."""

import pytest

from rigl_nb.report.pages.onefile import chromium

QUIET = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="module")
def browser():
    """Return a Chromium that playwright drives."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None:
        pytest.skip("no Chromium on this machine: install it, on Debian with `apt install chromium`")
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=path, args=["--no-sandbox", *QUIET])
        yield launched
        launched.close()
