"""The house drawn from the code: no module imports one that imports it, by however many steps."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ctconsole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(ctconsole.__file__).parent


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def imported(tree: ast.AST) -> Iterator[str]:
    """What a module imports anywhere: later in a function and for types alone are arrows too."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of one circle, empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_over_others() -> None:
    modules = {name_of(path): path for path in ROOT.rglob("*.py") if "_data" not in path.parts}
    graph = {}
    for name, path in modules.items():
        found = set(imported(ast.parse(path.read_text("utf-8"))))
        graph[name] = (found & modules.keys()) - {name}
    # A package is imported before its modules, which import nothing of it.
    packages = {name for name, path in modules.items() if path.name == "__init__.py"}
    assert len(graph) > len(packages) > 10
    assert circle({name: found - packages for name, found in graph.items()}) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from a import b", ["a", "a.b"]),
        ("try:\n  import a\nexcept ImportError:\n  import b", ["a", "b"]),
        ("def later():\n  import a", ["a"]),
        ("if TYPE_CHECKING:\n  import a", ["a"]),
    ],
)
def test_an_import_is_drawn_wherever_it_stands(source: str, found: list[str]) -> None:
    assert list(imported(ast.parse(source))) == found


def test_a_circle_is_found() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


def test_plans_are_rendered_once_for_the_screen_and_once_for_the_shell() -> None:
    """Whoever shows one asks these; elsewhere above the managers nobody reads what breaks."""
    readers = {
        name_of(path)
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "plan.verdicts"
    }
    assert {name for name in readers if name.split(".")[1] in {"model", "ui", "cli"}} == {
        "ctconsole.model.listing.plans",
        "ctconsole.ui.widgets.plan_table",
    }


def test_a_class_name_means_one_thing() -> None:
    named: dict[str, list[str]] = {}
    for path in ROOT.rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                named.setdefault(node.name, []).append(name_of(path))
    assert {name: found for name, found in named.items() if len(found) > 1} == {}
