from __future__ import annotations

import math
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import LabError
from ctconsole.kernel import netns
from ctconsole.lab import server
from ctconsole.lab.server import ServerKind
from tests.support.namespaces import namespace

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [ServerKind.SMALL, ServerKind.NGINX])
def test_nobody_waits_for_a_server_that_ended(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: ServerKind
) -> None:
    monkeypatch.setattr(server, "READY_SECONDS", math.inf)
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\necho no such option >&2; exit 1\n")
    program.chmod(0o700)
    monkeypatch.setattr(server, "find_nginx", lambda: str(program))
    if kind is ServerKind.SMALL:
        monkeypatch.setattr(sys, "executable", str(program))
    with namespace(gate) as name:
        try:
            with pytest.raises(LabError, match="does not answer") as caught:
                server.start(kind, name, tmp_path / "server")
        finally:
            for pid in netns.pids(name):
                os.kill(pid, signal.SIGKILL)
    assert caught.value.hint == "no such option"
