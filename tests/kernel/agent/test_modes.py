"""What an agent keeps is its user's alone, whatever the umask of whoever starts it."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from ctconsole.agent import control, wire

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.agent.state import AgentSettings


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_nothing_of_an_agent_is_for_others(settings: AgentSettings, umask: int) -> None:
    before = os.umask(umask)
    try:
        control.start(settings)
    finally:
        os.umask(before)
    folder = settings.state_dir
    found = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
    assert {"agent.json", "agent.log", "agent.sock", "history.db"} <= {path.name for path in found}
    assert {path.name: oct(mode) for path, mode in found.items() if mode & 0o077} == {}


def test_the_socket_is_private_before_anybody_can_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    seen: list[int] = []
    listen = socket.socket.listen

    def look_and_listen(self: socket.socket) -> None:
        seen.append(stat.S_IMODE(path.stat().st_mode))
        listen(self)

    monkeypatch.setattr(socket.socket, "listen", look_and_listen)
    monkeypatch.setattr("pathlib.Path.chmod", lambda *_: pytest.fail("too late"))
    before = os.umask(0)
    try:
        wire.Server(path, {}).close()
    finally:
        os.umask(before)
    assert seen == [0o600]
