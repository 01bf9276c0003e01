"""Readers of what a foreign agent says, on damaged log lines and answers."""

from __future__ import annotations

import json

from ctconsole.errors import FormatError
from ctconsole.model.names import names_of_agent
from ctconsole.model.readers import agentjson
from ctconsole.model.readers.agentlog import event_of
from ctconsole.model.readers.logline import parse_line
from tests.support.mutations import mutations

LINES = [
    (
        b'level=warning msg="Max entries mismatch for BPF map" file-path=/sys/fs/bpf/tc/globals/x '
        b"new=8192 old=32768 subsys=bpf"
    ),
    (
        b'time="2024-05-01T10:00:00Z" level=info msg="Unpinning map with incompatible properties" '
        b'bpfMapName=cilium_ct4_global old="[type LRUHash keySize 14 maxEntries 32768]" new="[]"'
    ),
    b'{"level":"info","msg":"completed ctmap gc pass","deleted":3,"ts":1714557600.5}',
]
ANSWERS = [
    json.dumps(
        [
            {
                "id": 75,
                "status": {
                    "external-identifiers": {"k8s-namespace": "shop", "k8s-pod-name": "web"},
                    "identity": {"id": 304, "labels": ["k8s:app=web"]},
                    "networking": {"addressing": [{"ipv4": "10.0.0.5", "ipv6": "fd00::5"}]},
                    "state": "ready",
                },
            }
        ]
    ).encode(),
    json.dumps([{"id": 304, "labels": ["k8s:app=web"]}]).encode(),
    json.dumps(
        [
            {
                "spec": {
                    "id": 1,
                    "flags": {"name": "web", "namespace": "shop", "type": "ClusterIP"},
                    "frontend-address": {"ip": "10.96.0.1", "port": 80, "protocol": "tcp"},
                    "backend-addresses": [{"ip": "10.0.0.5", "port": 8080}],
                }
            }
        ]
    ).encode(),
]


def test_log_lines() -> None:
    for raw in mutations(LINES, 20_000):
        line = parse_line(raw.decode("utf-8", "replace"))
        if line is not None:
            event_of(line, 0.0)


def test_answers_of_the_agent() -> None:
    for raw in mutations(ANSWERS, 20_000):
        try:
            answer = agentjson.document(raw, "x")
        except FormatError:
            continue
        endpoints, services = agentjson.endpoints(answer), agentjson.services(answer)
        identities = dict(agentjson.identities(answer).items)
        names_of_agent(endpoints.items, identities, services.items)
        agentjson.flags(answer)
        agentjson.version(answer)
        agentjson.clock_source(answer)
