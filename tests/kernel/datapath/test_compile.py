from __future__ import annotations

import platform
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ctconsole import paths
from ctconsole.datapath.bcc import compile_source, find_bcc
from ctconsole.datapath.loader import FUNCTIONS
from ctconsole.datapath.parts import CALLS, POLICY_FUNCTION
from ctconsole.errors import DatapathError, MissingFeatureError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_sources_compile_into_the_two_programs(capfd: pytest.CaptureFixture[str]) -> None:
    programs = compile_source(paths.bpf_sources() / "lxc.c", {"CT_SYN_TIMEOUT": 61})
    assert set(programs) == {*FUNCTIONS.values(), *CALLS, POLICY_FUNCTION}
    assert capfd.readouterr() == ("", "")
    assert "bcc" not in sys.modules
    assert not any("dist-packages" in entry for entry in sys.path)


@pytest.mark.parametrize(
    "defines",
    [
        [],
        ["-DENABLE_IPV6=0"],
        ["-DENABLE_IPV4=0", "-DLB_SELECTION_MAGLEV=1", "-DENABLE_SESSION_AFFINITY=1"],
    ],
)
def test_plain_clang_compiles_the_sources_without_a_warning(defines: list[str]) -> None:
    done = subprocess.run(
        [
            "clang",
            "-target",
            "bpf",
            "-O2",
            "-fsyntax-only",
            "-Wall",
            "-Wextra",
            "-Werror",
            *defines,
            f"-I/usr/include/{platform.machine()}-linux-gnu",
            str(paths.bpf_sources() / "lxc.c"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_is_reported_with_its_line_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "broken.c"
    source.write_text("int program(struct __sk_buff *skb)\n{\n\treturn nothing;\n}\n")
    with pytest.raises(DatapathError, match=r"broken.c does not compile") as caught:
        compile_source(source, {})
    assert "use of undeclared identifier 'nothing'" in caught.value.log
    assert "return nothing;" in caught.value.log
    assert "Traceback" not in caught.value.log
    assert capfd.readouterr() == ("", "")


def test_a_changed_header_is_compiled_anew(tmp_path: Path) -> None:
    header, source = tmp_path / "verdict.h", tmp_path / "program.c"
    source.write_text(
        '#include "verdict.h"\nint program(struct __sk_buff *s) { return VERDICT; }\n'
    )
    compiled = []
    for verdict in (1, 2):
        header.write_text(f"#define VERDICT {verdict}\n")
        compiled.append(compile_source(source, {})["program"].insns)
    assert compiled[0] != compiled[1]


def test_missing_bcc_is_reported_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(MissingFeatureError, match="apt-get install python3-bpfcc"):
        find_bcc(tmp_path / "bcc")


def test_the_unrelated_bcc_of_pypi_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    with pytest.raises(MissingFeatureError, match="is not the BPF Compiler"):
        find_bcc(tmp_path)
