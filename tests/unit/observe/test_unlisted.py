"""Lists of the tool that no verb of ours has: told by name, and nothing beside them is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ctconsole.model.records.spec import RecordKind
from ctconsole.observe.offline import read_offline
from tests.support.captures import CAPTURES

if TYPE_CHECKING:
    from pathlib import Path

TOOL = CAPTURES / "1.18.3" / "tool"
LB, IPCACHE = ((TOOL / f"{name}.txt").read_text("utf-8") for name in ("lb", "ipcache"))
FORMS: tuple[tuple[str, str, Any], ...] = (
    (
        "list of tunnels",
        "TUNNEL       VALUE\n10.7.0.0:0   192.168.0.31:0   \n[fd07::]:0   192.168.0.32:3   \n",
        {"10.7.0.0:0": ["192.168.0.31:0"], "[fd07::]:0": ["192.168.0.32:3"]},
    ),
    (
        "status of encryption",
        (
            "Encryption: IPsec                     \nDecryption interface(s): eth0\n"
            "Keys in use: 4                         \nMax Seq. Number: 0x1e3/0xffffffff\n"
            "Errors: 2                         \n\tXfrmInNoStates: 2                         \n"
        ),
        {"ipsec": {"keys-in-use": 4, "max-seq-number": "N/A"}, "mode": "IPsec"},
    ),
    (
        "status of encryption",
        (
            "Encryption: Wireguard                 \nInterface: cilium_wg0\n\tPublic key: abc=\n"
            "\tNumber of peers: 3\n"
        ),
        {"mode": "Wireguard", "wireguard": {"interfaces": []}},
    ),
    (
        "list of node ids",
        "NODE ID   IP ADDRESSES   SPI\n0x2a      172.18.0.2     3\n",
        [{"ID": 42, "Address": "172.18.0.2", "SPI": 3}],
    ),
    (
        "list of fragments",
        (
            "ID    PROTO   SOURCE ADDRESS:PORT   DEST ADDRESS:PORT   SIP CALL-ID HASH\n"
            "777   UDP     10.0.0.1:53           10.0.0.2:40000      0\n"
        ),
        [{"ID": 777, "Proto": 17, "SourceAddress": "10.0.0.1:53"}],
    ),
    (
        "list of egress gateways",
        (
            "Source IP    Destination CIDR   Egress IP   Gateway IP\n"
            "10.0.0.197   192.168.0.0/16     10.0.0.3    172.18.0.3\n"
        ),
        [{"SourceIP": "10.0.0.197", "DestCIDR": "192.168.0.0/16", "EgressIP": "10.0.0.3"}],
    ),
    (
        "list of bandwidth limits",
        (
            "IDENTITY   DIRECTION   PRIO   DSCP   BANDWIDTH (BitsPerSec)\n"
            "2054       Egress      0      0"
            "      10M\n"
        ),
        None,
    ),
    ("lookup tables of Maglev", "SVC ID     LOOKUP TABLE\n12         [3, 4, 3, 4]\n", None),
)
TEXTS = [
    pytest.param(name, text, id=f"{name}{number}{form}")
    for number, (name, printed, items) in enumerate(FORMS)
    for form, text in (("", printed), (" in JSON", items and json.dumps(items, indent=2) + "\n"))
    if text
]


@pytest.mark.parametrize(("name", "text"), TEXTS)
def test_it_is_said_what_it_is(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / "output.txt"
    file.write_text(text)
    found = read_offline([file])
    [problem] = found.problems
    assert f"output.txt holds the tool's {name}" in problem
    assert problem.endswith("which no verb lists")
    assert (found.maps, found.printed) == ((), ())


@pytest.mark.parametrize(("name", "text"), TEXTS)
def test_what_stands_around_it_is_read_whole(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / "output.txt"
    for parts in ((LB, text, IPCACHE), (text, LB, IPCACHE)):
        file.write_text("".join(parts))
        found = read_offline([file])
        assert {one.kind: len(one.rows) for one in found.printed} == {
            RecordKind.SERVICE: len(LB.splitlines()) - 1,
            RecordKind.IPCACHE: len(IPCACHE.splitlines()) - 1,
        }
        assert found.problems == ()
        told = [one.text for part in found.printed for one in part.told]
        if told:
            # An agent's status has a line like that of encryption, so that it tells only alone.
            assert (name, told) == ("status of encryption", text.splitlines())
        else:
            assert any(f"holds the tool's {name}" in note for note in found.notes)


def test_a_status_with_encryption_stays_one(tmp_path: Path) -> None:
    status = (CAPTURES.parent / "cases" / "79-status-verbose.txt").read_text("utf-8")
    file = tmp_path / "output.txt"
    file.write_text(f"{status}Encryption:             Disabled\n{status}")
    found = read_offline([file])
    assert found.problems == ()
    assert [form.name for _, form in found.others] == ["an agent's status"]
