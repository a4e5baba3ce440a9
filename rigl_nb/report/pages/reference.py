"""The report's page about the code: signatures, docstrings and source, read from the files without importing them."""

import ast
import copy
from collections.abc import Iterator, Sequence

from rigl_nb import paths

PACKAGE = paths.ROOT / "rigl_nb"
MODULES = (
    *("distributions", "schedules", "masks", "flops", "models", "models.layers", "models.products", "data", "methods"),
    *("execution", "masking.optimizers", "masking.structures", "masking.channels", "masking.patterns"),
    *("masking.masked", "masking.moving", "sparsifier", "compact"),
    *("deploy.speed", "deploy.export", "deploy.groups", "deploy.tensor_cores"),
    *("spec", "iteration", "train", "runs.record", "runs.store", "runs.cost", "runs.engine"),
    *(
        "experiments.profiles",
        "experiments.grids",
        "claims.claim",
        "claims.model",
        "claims.judge",
        "report.sections.shared",
    ),
)
INTRO = """\
# The code

What one copies and uses, from one sparse training run, over many runs and their records, to the report. This page is
made from the docstrings; "source" opens the code itself. Import a name from its module, as in
`from rigl_nb.masks import drop`. Shapes are torch's, (c_out, c_in, h, w) or (out, in); a density is the share of
weights that stay. A wrong value raises `ValueError`, which names the value and what is allowed."""
Entry = ast.FunctionDef | ast.ClassDef


def page(modules: Sequence[str] = MODULES) -> str:
    """The whole page, in Markdown for MyST."""
    return "\n\n".join([INTRO, *map(_module, modules)]) + "\n"


def public(body: Sequence[ast.stmt]) -> Iterator[Entry]:
    """The functions and classes of a module or a class that have a public name, in their order."""
    for node in body:
        if isinstance(node, Entry) and not node.name.startswith("_"):
            yield node


def source(module: str) -> str:
    """The text of a module's file, by the module's name below the package."""
    path = PACKAGE.joinpath(*module.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")


def _module(name: str) -> str:
    text = source(name)
    tree, lines = ast.parse(text), text.splitlines()
    head = f"## {name}\n\n```{{py:module}} rigl_nb.{name}\n```\n\n{ast.get_docstring(tree)}"
    aliases = [one for one in tree.body if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]).istitle()]
    return "\n\n".join([head, _commented(aliases, lines), *(_entry(node, lines) for node in public(tree.body))])


def _entry(node: Entry, lines: Sequence[str]) -> str:
    """A function, or a class with its fields, properties and methods; then the source."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    code = "\n".join(lines[first - 1 : node.end_lineno])
    listing = f"<details><summary>source</summary>\n\n```python\n{code}\n```\n\n</details>"
    if isinstance(node, ast.FunctionDef):
        return _directive("::::", "function", _signature(node), ast.get_docstring(node), listing)
    start = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
    call = f"{node.name}({_arguments(start[0], 1)})" if start else node.name
    fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
    inside = [_commented(fields, lines), *(_member(one) for one in public(node.body) if ast.get_docstring(one))]
    return _directive("::::", "class", call, ast.get_docstring(node), *inside, listing)


def _member(node: Entry) -> str:
    """A method or a property."""
    kinds = {ast.unparse(decorator) for decorator in node.decorator_list}
    if kinds & {"property", "functools.cached_property"}:
        kind, call = "property", f"{node.name}\n:type: {ast.unparse(node.returns)}"
    else:
        kind, call = "method", _signature(node, 1) + ("\n:classmethod:" if "classmethod" in kinds else "")
    return _directive(":::", kind, call, ast.get_docstring(node))


def _directive(fence: str, kind: str, call: str, *parts: str | None) -> str:
    content = "\n\n".join(filter(None, parts))
    return f"{fence}{{py:{kind}}} {call}\n\n{content}\n{fence}"


def _signature(node: ast.FunctionDef, bound: int = 0) -> str:
    return f"{node.name}({_arguments(node, bound)})" + (f" -> {ast.unparse(node.returns)}" if node.returns else "")


def _arguments(node: ast.FunctionDef, bound: int) -> str:
    """The arguments but for the `bound` first ones (self, cls)."""
    own = copy.copy(node.args)
    own.args = own.args[bound:]
    return ast.unparse(own)


def _commented(statements: Sequence[ast.stmt], lines: Sequence[str]) -> str:
    """A list of statements, such as a dataclass's fields, with the comments that stand beside them."""
    found = []
    for one in statements:
        comment = lines[one.end_lineno - 1][one.end_col_offset :].partition("# ")[2]
        found.append(f"- `{ast.unparse(one)}`" + (f": {comment}" if comment else ""))
    return "\n".join(found)
