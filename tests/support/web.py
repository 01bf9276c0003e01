"""Certificates, passwords and web configurations of tests."""

from __future__ import annotations

import base64
import subprocess
from typing import TYPE_CHECKING

import bcrypt

if TYPE_CHECKING:
    from pathlib import Path

HASHED = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
"""Of ``secret``, quickly."""

TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
USERS = f"basic_auth_users: {{prometheus: {HASHED!r}}}\n"


def certify(folder: Path, name: str = "test") -> None:
    """Put a new ``cert.pem`` and ``key.pem`` for 127.0.0.1 into a folder."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )


def written(folder: Path, text: str) -> Path:
    """A web configuration beside its certificate."""
    path = folder / "web.yml"
    path.write_text(text)
    return path


def basic(name: str, password: str) -> dict[str, str]:
    """What a browser sends for a name and a password."""
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}
