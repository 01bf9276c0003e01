"""Labs as the nodes of one cluster: an API server, an exporter on each, and a real Prometheus."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ctconsole.errors import LabError
from ctconsole.kernel.maps import BpfMap
from ctconsole.lab import look
from ctconsole.lab.kube.api import KubeApi
from ctconsole.lab.kube.objects import LabNode, LabPod
from ctconsole.lab.prometheus import PATIENCE, prometheus, wait_for_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ctconsole.lab.folders import Lab

LABELS: Final = "ctconsole/lab=fleet"
OPTION: Final = "bpf-ct-global-tcp-max"
CONFIG_MAP: Final = "cilium-config"

_SERVING: Final = re.compile(r"Serving http://(127\.0\.0\.1:\d+)/metrics")


@dataclass(frozen=True, slots=True)
class LabFleet:
    """The cluster.

    Attributes:
        labs: its nodes, by whose names they are called.
        api: its API server.
        kubeconfig: what lets clients in.
        prometheus: the address of the one that scrapes the nodes.
    """

    labs: Sequence[Lab]
    api: KubeApi
    kubeconfig: Path
    prometheus: str

    def argv(self, *more: str) -> list[str]:
        """``ctconsole fleet resize`` on it."""
        return [
            *(sys.executable, "-m", "ctconsole", "fleet", "resize", *more),
            *("--kubeconfig", str(self.kubeconfig), "--prometheus", self.prometheus),
            *("--journal", str(self.kubeconfig.with_name("journal.json"))),
        ]

    def sizes(self) -> list[int]:
        """What the table of each node can hold now."""
        found = []
        for lab in self.labs:
            with BpfMap.open(lab.globals / look.TCP_MAP) as live:
                found.append(live.info.max_entries)
        return found


@contextmanager
def lab_fleet(labs: Sequence[Lab], entries: int) -> Iterator[LabFleet]:
    """Make labs that are up the nodes of a cluster for as long as the block runs.

    Args:
        labs: all with our own agent.
        entries: what the cluster's configuration says a table holds.

    Raises:
        MissingFeatureError: there is no Prometheus.
        LabError: an exporter or Prometheus does not start, or does not scrape.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ctconsole-fleet-")))
        targets = [
            {"targets": [stack.enter_context(_exporter(lab))], "labels": {"node": lab.name}}
            for lab in labs
        ]
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "ctconsole", "static_configs": targets}],
        }
        data = folder / "prometheus"
        data.mkdir()
        url = stack.enter_context(prometheus(data, config))
        wait_for_nodes(url, "ctconsole_sample_timestamp_seconds > 0", len(labs))
        api = stack.enter_context(KubeApi())
        api.objects.set_config_map(CONFIG_MAP, {OPTION: str(entries)})
        key, _, value = LABELS.partition("=")
        for lab in labs:
            api.objects.nodes[lab.name] = LabNode(lab.name, {key: value})
            pod = LabPod(f"ctconsole-{lab.name}", lab.name, argv=partial(_in_lab, lab))
            api.objects.pods[pod.name] = pod
        api.write_kubeconfig(folder / "kubeconfig")
        yield LabFleet(labs, api, folder / "kubeconfig", url)


def _in_lab(lab: Lab, argv: Sequence[str]) -> Sequence[str]:
    """A command of a pod as it is run here: a container's bpffs is its node's, by mounts."""
    program, *more = argv
    if program != "ctconsole":
        return argv
    return [sys.executable, "-m", "ctconsole", *more, "--bpf-root", str(lab.bpf_root)]


@contextmanager
def _exporter(lab: Lab) -> Iterator[str]:
    """A node's exporter in a process of its own; its address."""
    argv = [sys.executable, "-m", "ctconsole", "export", "--listen", "127.0.0.1:0"]
    argv += ["--interval", "1", "--bpf-root", str(lab.bpf_root)]
    log = lab.root / "exporter.log"
    with log.open("wb") as told, subprocess.Popen(argv, stdout=told, stderr=told) as child:
        try:
            yield _serving(log, child)
        finally:
            child.terminate()


def _serving(log: Path, child: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + PATIENCE
    while not (found := _SERVING.search(log.read_text("utf-8", "replace"))):
        if child.poll() is not None or time.monotonic() > end:
            raise LabError(f"The exporter does not start: {log.read_text('utf-8', 'replace')}")
        time.sleep(0.1)
    return found[1]
