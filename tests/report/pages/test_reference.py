"""The report's page about the code: it leaves nothing out, and says of everything how it is called."""

import importlib
import inspect
import re
from functools import cached_property
from types import FunctionType

import pytest

from rigl_nb.report.pages import reference

PAGE = reference.page()


def part(module: str) -> str:
    """The part of the page about a module."""
    return PAGE.split(f"```{{py:module}} rigl_nb.{module}\n")[1].split("\n## ")[0]


def listed(kind: str, text: str) -> list[str]:
    return re.findall(rf"\{{py:{kind}\}} (\w+)", text)


@pytest.mark.parametrize("module", reference.MODULES)
def test_every_public_function_and_class_is_listed(module):
    """As the interpreter sees them, which the page does not ask."""
    imported = importlib.import_module(f"rigl_nb.{module}")
    own = {
        name: value
        for name, value in vars(imported).items()
        if getattr(value, "__module__", None) == imported.__name__ and not name.startswith("_")
    }
    functions = {name for name, value in own.items() if inspect.isfunction(inspect.unwrap(value))}
    classes = {name for name, value in own.items() if inspect.isclass(value)}
    assert sorted(listed("function", part(module))) == sorted(functions)
    assert sorted(listed("class", part(module))) == sorted(classes)
    assert functions or classes
    members = {
        name
        for each in classes
        for name, value in vars(own[each]).items()
        if isinstance(value, FunctionType | property | cached_property | classmethod) and not name.startswith("_")
        if getattr(value, "__name__", name) == name  # a lambda is a field's default
    }
    shown = set(listed("method", part(module)) + listed("property", part(module)))
    assert shown == members - {"forward"}, "torch's own name and meaning"


def test_signatures_are_as_written():
    assert "{py:function} drop(weight: Tensor, mask: Tensor, count: int, pools: int=1) -> Tensor" in PAGE
    assert "{py:method} step(closure: Callable[[], object] | None=None) -> bool" in PAGE, "without self"
    assert "{py:property} t_end\n:type: int" in PAGE
    assert (
        "{py:method} best(threads: int | None=None, sharing: int=1, compact: bool=False) -> 'Execution'\n:classmethod:"
        in PAGE
    )
    assert "{py:class} Sparsifier(model: nn.Module, optimizer: Optimizer, method: str='RigL'" in PAGE


def test_fields_come_with_what_stands_beside_them():
    assert "- `alpha: float | None = None`: initial drop fraction" in part("spec")
    assert "- `Shapes = dict[str, tuple[int, ...]]`" in part("distributions")


def test_docstring_and_source_are_whole():
    from rigl_nb import masks

    assert inspect.getdoc(masks.carry) in PAGE
    assert f"```python\n{inspect.getsource(masks.carry).strip()}\n```" in PAGE
    assert "@dataclass(frozen=True)\nclass RunSpec:" in PAGE, "decorators belong to it"
