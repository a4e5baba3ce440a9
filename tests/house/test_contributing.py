"""README and CONTRIBUTING, checked against the code: links, paths, commands and names exist."""

import re
import shlex

import pytest

from rigl_nb import paths
from rigl_nb.cli.usage import parser

PAGES = ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CALL = re.compile(r"python -m rigl_nb ([^`\n#]+)")
GENERATED = ("build/", "data/", "cifar", "js/")  # what only training or a reader's own data brings


def text(page: str) -> str:
    return (paths.ROOT / page).read_text(encoding="utf-8")


def anchors(markdown: str) -> set[str]:
    """The names by which a code host links to headings."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page):
    links = [link for link in LINK.findall(text(page)) if not re.match(r"https?:|mailto:", link)]
    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        target = (paths.ROOT / page).parent / file if file else paths.ROOT / page
        assert target.exists(), f"{page} links to {link}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page} links to {link}"


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page):
    """Words in backticks with a slash or a Python file's ending are files, from the root or from rigl_nb/."""
    words = [word for word in re.findall(r"`([\w./*-]+)`", text(page)) if "/" in word or re.fullmatch(r"\w+\.py", word)]
    for word in words:
        if not word.startswith(GENERATED) and "NN" not in word:
            bases = (paths.ROOT, paths.ROOT / "rigl_nb", (paths.ROOT / page).parent)
            assert any(list(base.glob(word.rstrip("/"))) for base in bases), f"{page} names {word}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_can_be_called(page):
    for call in CALL.findall(text(page)):
        words = [word for word in shlex.split(call) if word != "[folder]"]
        if words and words[0] != "COMMAND":
            assert parser().parse_args(words).name == words[0]


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_exist(page):
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text(page), re.MULTILINE))
    assert named <= targets


def test_names_that_contributing_sends_people_to():
    """They are there under these names; the links beside them are tested above."""
    from rigl_nb import flops, methods, spec
    from rigl_nb.data.sources import SOURCES, Source
    from rigl_nb.experiments import grids, studies
    from rigl_nb.report.figures import style
    from rigl_nb.report.pages import reference
    from rigl_nb.report.sections import ladder

    page = text("CONTRIBUTING.md")
    there = {
        "`Row`": grids.Row,
        "`SECTIONS`": grids.SECTIONS,
        "`Study`": studies.Study,
        "`QUESTIONS`": ladder.QUESTIONS,
        "`Source`": Source,
        "`SOURCES`": SOURCES,
        "`RECIPES`": spec.RECIPES,
        "`SCHEMA`": spec.SCHEMA,
        "`register(": methods.register,
        "`train_fraction`": flops.train_fraction,
        "`METHOD_STYLE`": style.METHOD_STYLE,
        "`MODULES`": reference.MODULES,
    }
    assert [name for name in there if name not in page] == []
