"""The house rules: who may import whom, what `import rigl_nb` costs, and the shape of every file."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "rigl_nb"
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = ("science", "runs", "experiments", "claims", "report.figures", "report.sections", "report.pages", "cli")
ORDER = {  # within a room a file imports only from files before it; no circles anywhere
    "science": "paths checks rng distributions schedules masks models.layers models.products models.convolutional"
    " models.recurrent models flops data.text data.sources data methods execution.devices execution execution.cores"
    " execution.graph"
    " masking.optimizers masking.structures masking.channels masking.patterns masking.parts masking.resting"
    " masking.masked masking.moving masking.owners masking.states masking sparsifier compact deploy.speed"
    " deploy.export deploy.groups deploy.tensor_cores deploy published_code spec iteration train",
    "runs": "terminal origin record store publishing schedule cost attempt progress turns workers slurm cluster batch"
    " watch engine probe",
    "experiments": "profiles rows language structured equal_flops studies grids inventory",
    "claims": "claim fact spread estimate model several judge power instability images own_costs arithmetic printed"
    " inconsistencies statements.cells statements.beyond statements.cifar statements.distribution statements.settings"
    " statements.tuning statements.structured statements",
    "report.figures": "style layers significance tables board plots training live hover widgets",
    "report.sections": "characters shared redistribution accuracy_by_flops beyond_family tuning tuning_landscapes"
    " beyond audit batches structured ladder priorities discussion overview all_runs",
    "report.pages": "kernels execute pairs reference onefile stitching build",
    "cli": "usage doctor training commands",
}
APART = {"report.pages": {"report.figures", "report.sections"}}  # rooms that do not know each other
TABLE_LIBRARIES = {
    "pandas",
    "matplotlib",
    "papermill",
    "jupytext",
    "ipywidgets",
    "IPython",
    "dask",
    "seaborn",
}


def room(module):
    """The room of a module's dotted name below rigl_nb."""
    return next((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), "science")


def name_of(file):
    """`masks`, `runs.store`, or the room itself for its __init__."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(file): file for file in FILES}


def imported(file):
    """Every dotted name that a file imports anywhere in it; relative ones made absolute."""
    package = ("rigl_nb", *file.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *((node.module or "").split(".") if node.module else ())))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def own(file):
    """The modules of rigl_nb that a file imports, by their names below it."""
    found = set()
    for dotted in imported(file):
        parts = dotted.split(".")
        if parts[0] != "rigl_nb":
            continue
        below = ".".join(parts[1:])
        candidates = [name for name in MODULES if below == name or below.startswith(name + ".") or not name]
        found.add(max(candidates, key=len))  # `from rigl_nb.masks import drop` means masks
    return found - {name_of(file)}


GRAPH = {name: own(file) for name, file in MODULES.items() if name != "__main__"}


def test_the_parser_sees_the_imports():
    assert {"masking.masked", "masking.moving", "methods", "models.layers", "rng"} <= GRAPH["sparsifier"]
    assert "iteration" in GRAPH["train"] and "sparsifier" in GRAPH["iteration"]
    assert room("runs.store") == "runs" and room("masks") == "science"
    assert room("report.pages.build") == "report.pages"


@pytest.mark.parametrize("name", sorted(GRAPH))
def test_rooms_import_to_the_left_only(name):
    for other in GRAPH[name]:
        assert ROOMS.index(room(other)) <= ROOMS.index(room(name)), f"{name} imports {other}"
        assert room(other) not in APART.get(room(name), ()), f"{name} imports {other}"


@pytest.mark.parametrize("name", sorted(GRAPH))
def test_files_import_from_files_above_them(name):
    order = ORDER[room(name)].split()
    for other in GRAPH[name]:
        here, there = (part.removeprefix(f"{room(name)}.") for part in (name, other))
        if room(other) == room(name):
            assert order.index(there) < order.index(here), f"{name} imports {other}, which stands below it"


@pytest.mark.parametrize("room_name", ROOMS)
def test_every_file_has_its_place(room_name):
    doors = {"", "report", *ROOMS}  # each an __init__ of one line
    named = {name.removeprefix(f"{room_name}.") for name in GRAPH if name not in doors and room(name) == room_name}
    assert named == set(ORDER[room_name].split()), "a new file needs a place in the order"


def test_no_circles():
    list(TopologicalSorter(GRAPH).static_order())


@pytest.mark.parametrize("name", sorted(GRAPH))
def test_each_room_leaves_the_others_libraries_alone(name):
    libraries = {dotted.split(".")[0] for dotted in imported(MODULES[name])}
    if room(name) == "science":
        assert not libraries & TABLE_LIBRARIES
    if name in ("distributions", "schedules", "runs.store"):
        assert not libraries & {"torch", "torchvision"}


def test_importing_the_package_is_cheap():
    """Only torch, numpy and what they bring may be loaded: no table, plot, image or notebook library."""
    code = "import {}, sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"

    def loaded(module):
        command = [sys.executable, "-c", code.format(module)]
        return set(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split())

    extra = loaded("rigl_nb") - loaded("torch, numpy") - set(sys.stdlib_module_names)
    assert extra == {"rigl_nb"}


def test_training_needs_no_table_plot_or_image_library():
    """What trains: every file of science, without reading CIFAR."""
    code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module('rigl_nb.' + name)\n"
    code += "heavy = {'pandas', 'matplotlib', 'sklearn', 'torchvision', 'pyarrow', 'PIL', 'IPython'}\n"
    code += "print(*sorted(heavy & set(sys.modules)))"
    command = [sys.executable, "-c", code, *ORDER["science"].split()]
    assert subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split() == []


def test_verdicts_wait_for_no_statistics_library():
    """Only a comparison with `paper` runs loads it; it would take most notebooks most of a second."""
    code = "import sys, rigl_nb.report.sections.ladder\n"
    code += "print('scipy.special' in sys.modules, 'scipy.stats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "False"]


def public(tree):
    """Public classes, functions and methods; a function's inner ones are its own business."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_everything_public_has_a_docstring(file):
    tree = ast.parse(file.read_text())
    assert ast.get_docstring(tree), "the file itself has none"
    allowed = {"forward"}  # torch's own name and meaning
    bare = [node.name for node in public(tree) if not ast.get_docstring(node) and node.name not in allowed]
    assert bare == []


def text_files():
    """Every text file that git tracks or would track."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if listed.returncode:
        pytest.skip("not a git repository")
    files = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [file for file in files if file.is_file() and b"\0" not in file.read_bytes()[:4096]]


def test_source_files_have_under_250_lines():
    folders = ("rigl_nb", "tests", "benchmarks", "docs")  # notebooks are prose
    sources = [f for f in text_files() if f.suffix == ".py" and f.relative_to(ROOT).parts[0] in folders]
    assert len(sources) > 20
    long = {str(f.relative_to(ROOT)): n for f in sources if (n := len(f.read_text().splitlines())) >= 250}
    assert long == {}


def test_no_file_names_a_package_registry():
    """Mirrors and offline machines: where packages come from is the user's setting, never ours."""
    names = ["py|pi.org", "python|hosted.org", "npm|js.", "anaconda|.org", "download.py|torch.org"]
    forbidden = [name.replace("|", "") for name in names]
    vendored = {"tex-svg.js"}
    found = [
        (str(file.relative_to(ROOT)), name)
        for file in text_files()
        if file.name not in vendored
        for name in forbidden
        if name in file.read_text(errors="replace")
    ]
    assert found == []
