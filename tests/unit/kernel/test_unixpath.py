from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel.unixpath import socket_path

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("folder", ["short", "long" * 50])
def test_a_socket_is_reached_however_deep_its_folder(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "s"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        with socket_path(path) as address:
            server.bind(address)
        server.listen()
        with socket_path(path) as address:
            client.connect(address)
        assert path.is_socket()
