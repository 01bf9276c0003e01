"""Which keys of the table a test presses, so that one that claims a key is held to it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import App

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from textual.dom import DOMNode

UI_TESTS = Path(__file__).parents[1] / "ui"


def listen(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Hear of keys from now on.

    Returns:
        The ids of those whose action was done; grows while keys are pressed.
    """
    heard: set[str] = set()
    pressed: list[str] = []
    check, run = App._check_bindings, App.run_action

    async def checked(self: App[object], key: str, **options: bool) -> bool:
        pressed.append(key)
        try:
            return await check(self, key, **options)
        finally:
            pressed.pop()

    async def ran(
        self: App[object],
        action: str,
        default_namespace: DOMNode | None = None,
        namespaces: dict[str, DOMNode] | None = None,
    ) -> bool:
        done = await run(self, action, default_namespace, namespaces)
        if done and pressed and default_namespace is not None:
            heard.update(_ids(self, default_namespace, pressed[-1], action))
        return done

    monkeypatch.setattr(App, "_check_bindings", checked)
    monkeypatch.setattr(App, "run_action", ran)
    return heard


def _ids(app: App[object], node: DOMNode, key: str, action: str) -> Iterator[str]:
    """The ids by which a node has this key for this action."""
    held = node._bindings.copy()
    held.apply_keymap(app._keymap)
    for binding in held.key_to_bindings.get(key, ()):
        if binding.action == action and binding.id:
            yield binding.id


def claimed() -> dict[str, str]:
    """The ids that tests of the console claim with ``pytest.mark.key``, each with such a file."""
    found = {}
    for path in sorted(UI_TESTS.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.key":
                for each in node.args:
                    found[str(ast.literal_eval(each))] = path.name
    return found
