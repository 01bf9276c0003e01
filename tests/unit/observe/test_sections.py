"""One file with listings of several kinds, one behind the other, as a script prints them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.readers.lines import Gap, lines
from ctconsole.model.records.spec import RecordKind
from ctconsole.observe import sections
from ctconsole.observe.offline import read_offline
from ctconsole.observe.offline_knowledge import knowledge_by_node
from ctconsole.observe.offline_maps import told_maps
from ctconsole.observe.sections import Kind, Sections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctconsole.model.readers.node_text import NodeText
    from ctconsole.observe.offline import Offline

CASES = Path(__file__).parents[2] / "data" / "cases"
CAPTURES = Path(__file__).parents[2] / "data" / "captures"


def case(number: str) -> str:
    [file] = CASES.glob(f"{number}-*")
    return file.read_text("utf-8")


SCRIPT: tuple[tuple[str, str], ...] = (
    ("cilium bpf ct list global", case("09")),
    ("cilium bpf nat list", case("40")),
    ("cilium status --verbose", case("79")),
    ("cilium bpf lb list", case("43")),
    ("cilium bpf ipcache list", case("51")),
    ("cilium map list", case("47")),
    ("cilium bpf metrics list", case("49")),
)
ROWS = {
    RecordKind.NAT: 4,
    RecordKind.SERVICE: 6,
    RecordKind.IPCACHE: 3,
    RecordKind.METRICS: 6,
}


def read(folder: Path, text: str) -> Offline:
    file = folder / "output.txt"
    file.write_text(text, "utf-8")
    return read_offline([file])


def script(heads: str, parts: Sequence[tuple[str, str]] = SCRIPT) -> str:
    return "".join(f"{heads.format(command)}{text}" for command, text in parts)


@pytest.mark.parametrize(
    "heads",
    ["", "# {}\n", "$ {}\n", "root@node-a:/home/cilium# {}\n", "\n=== {} ===\n"],
    ids=["nothing between", "headings", "prompts", "a shell's prompts", "rulers"],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_every_listing_is_read_whole(tmp_path: Path, heads: str, *, backwards: bool) -> None:
    parts = SCRIPT[::-1] if backwards else SCRIPT
    found = read(tmp_path, script(heads, parts))
    assert {one.info.label: len(one.keys) for one in found.maps} == {
        "cilium_ct4_global": 3,
        "cilium_ct_any4_global": 1,
    }
    assert {one.kind: len(one.rows) for one in found.printed} == ROWS
    assert found.problems == ()
    sizes = {one.label: one.most for one in told_maps(found)}
    assert (sizes["cilium_ct4_global"], sizes["cilium_ct_any4_global"]) == (287994, 143997)
    assert [text.listed["cilium_lxc"].entries for text in _texts(found) if text.listed] == [18]


def _texts(found: Offline) -> list[NodeText]:
    return [node.text for node in found.nodes.values()]


def test_a_told_line_keeps_its_number_and_its_place(tmp_path: Path) -> None:
    text = script("", SCRIPT[:2]) + "TCP OUT 10.0.0.1:5 -> 10.0.0.2:6 expires=1 cut\n"
    found = read(tmp_path, text)
    number = text.count("\n")
    offset = len(text.encode()) - len("TCP OUT 10.0.0.1:5 -> 10.0.0.2:6 expires=1 cut\n")
    [problem] = found.problems or [one.problem for one in found.maps if one.problem]
    assert f"line {number}: TCP OUT 10.0.0.1:5" in problem
    assert f"at byte {offset}" in problem


def test_the_nodes_of_one_text_keep_their_own_sections(tmp_path: Path) -> None:
    status = case("79")
    other = status.replace("287994", "131072")
    text = "".join(
        f"===== Node: {node} =====\n{told}\n{case('09')}\n{case('40')}\n"
        for node, told in (("node-a", status), ("node-b", other))
    )
    found = read(tmp_path, text)
    sizes = {
        (one.whose.node, one.info.max_entries)
        for one in found.maps
        if one.info.label == "cilium_ct4_global"
    }
    assert sizes == {("node-a", 287994), ("node-b", 131072)}
    assert {(one.whose.node, len(one.rows)) for one in found.printed} == {
        ("node-a", 4),
        ("node-b", 4),
    }


def test_a_listing_behind_megabytes_of_another_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sections, "IN_MEMORY", 1 << 10)
    entries = "".join(
        case("09").replace("47771", str(10000 + number)) for number in range(0, 3000, 3)
    )
    found = read(tmp_path, entries + case("40") * 50 + case("79"))
    assert sum(len(one.rows) for one in found.printed) == 4 * 50
    assert {one.info.max_entries for one in found.maps} == {287994, 143997}


def test_gaps_are_counted_and_empty() -> None:
    text = b"a 1\nb 1\nb 2\na 2\n"
    kinds = [Kind(lambda line: line.startswith("a")), Kind(lambda line: line.startswith("b"))]
    parts = Sections([text], kinds, 0)
    first = list(parts.main())
    assert [(one.number, one.offset, one.text) for one in lines(first)] == [
        (1, 0, "a 1"),
        (4, 12, "a 2"),
    ]
    assert [one for one in first if isinstance(one, Gap)] == [b""]
    others = [
        (number, (one.number, one.offset, one.text))
        for number, _, blocks in parts.others()
        for one in lines(blocks)
    ]
    assert others == [(1, (2, 4, "b 1")), (1, (3, 8, "b 2"))]


@pytest.mark.parametrize(
    ("release", "name", "kind"),
    [
        (release, name, kind)
        for release in ("1.12", "1.16-rc", "1.18.3")
        for name, kind in (
            ("lb-backends", RecordKind.BACKEND),
            ("lb-frontends", RecordKind.SERVICE),
            ("lb-revnat", RecordKind.REVERSE_NAT),
            ("lb-source-ranges", RecordKind.SOURCE_RANGE),
        )
        # The tool of 1.12 lists no source ranges.
        if (release, name) != ("1.12", "lb-source-ranges")
    ],
)
def test_the_parts_of_the_list_of_services_are_read_from_their_text(
    release: str, name: str, kind: RecordKind
) -> None:
    file = CAPTURES / release / "tool" / f"{name}.txt"
    found = read_offline([file])
    assert found.problems == ()
    [one] = found.printed
    assert one.kind is kind
    # The title is no row.
    assert len(one.rows) == len(file.read_text("utf-8").splitlines()) - 1
    assert one.told == ()


def test_what_a_printed_translation_does_to_ports_is_known(tmp_path: Path) -> None:
    entry = (
        "TCP OUT 10.244.0.62:{} -> 93.184.216.34:443 expires=248327 Packets=12 Bytes=2418 "
        "RxFlagsSeen=0x1a LastRxReport=240327 TxFlagsSeen=0x1a LastTxReport=240327 Flags=0x0010 "
        "[ SeenNonSyn ] RevNAT=0 SourceSecurityID=36487 IfIndex=0 BackendID=0 \n"
    )
    nat = (
        "TCP OUT 10.244.0.62:{0} -> 93.184.216.34:443 XLATE_SRC 172.18.0.2:{1} Created=50sec ago "
        "NeedsCT=0\n"
        "TCP IN 93.184.216.34:443 -> 172.18.0.2:{1} XLATE_DST 10.244.0.62:{0} Created=50sec ago "
        "NeedsCT=0\n"
    )
    # The last one is no address, and left out.
    text = (
        "".join(entry.format(port) for port in (47771, 40001, 50002))
        + nat.format(47771, 47771)
        + nat.format(40001, 61112)
        + nat.format(1, 2).replace("10.244.0.62", "10.244.0.999")
    )
    [known] = knowledge_by_node(read(tmp_path, text)).values()
    assert known.translated is not None
    found = known.translated[14]
    ports = found.owners.view(np.uint8).reshape(-1, 14)[:, 10:12].copy().view(">u2").ravel()
    assert sorted(zip(ports.tolist(), found.kept.tolist(), strict=True)) == [
        (40001, False),
        (40001, False),
        (47771, True),
        (47771, True),
    ]


def test_the_status_of_two_nodes_in_one_text_are_two(tmp_path: Path) -> None:
    [case] = (Path(__file__).parents[2] / "data" / "cases").glob("79-*")
    status = case.read_text("utf-8")
    file = tmp_path / "both.txt"
    other = status.replace("287994", "524288")
    file.write_text(f"==> node-a <==\n{status}==> node-b <==\n{other}", "utf-8")
    nodes = read_offline([file]).nodes.values()
    sizes = {one.whose.node: one.text.sizes.get("cilium_ct4_global") for one in nodes if one.whose}
    assert sizes == {"node-a": 287_994, "node-b": 524_288}
