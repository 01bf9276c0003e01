"""The cluster of ``tests/unit/fleet/kube``."""

from __future__ import annotations

from tests.unit.fleet.kube.conftest import api, cluster

__all__ = ["api", "cluster"]
