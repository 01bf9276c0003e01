from __future__ import annotations

import json
import platform
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ctconsole import paths
from ctconsole.datapath import bcc, bcc_worker
from ctconsole.datapath.bcc import compile_source, find_bcc
from ctconsole.datapath.loader import FUNCTIONS
from ctconsole.datapath.parts import CALLS, POLICY_FUNCTION
from ctconsole.errors import DatapathError, EndedEarlyError, MissingFeatureError
from ctconsole.kernel.procstat import process_state

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.datapath.code import Program

NO_SILENCE = 0.3


@pytest.fixture
def nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for what is kept, and a process that remembers nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bcc._known.clear()
    return tmp_path / "cache/ctconsole/programs"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A program of one line and its header."""
    (tmp_path / "bpf").mkdir()
    (tmp_path / "bpf/verdict.h").write_text("#define VERDICT 1\n")
    path = tmp_path / "bpf/program.c"
    path.write_text('#include "verdict.h"\nint program(struct __sk_buff *s) { return VERDICT; }\n')
    return path


def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """Something else in the compiler's place; where it says which process it is."""
    worker, said = tmp_path / "worker.py", tmp_path / "pid"
    begin = f"import json, os, sys, time\nopen({str(said)!r}, 'w').write(str(os.getpid()))\n"
    worker.write_text(begin + text)
    monkeypatch.setattr(bcc_worker, "__file__", str(worker))
    return said


def anew(source: Path, **defines: int) -> Program:
    """What a process makes of it that has nothing in its memory."""
    bcc._known.clear()
    return compile_source(source, defines)["program"]


@pytest.mark.usefixtures("nothing_kept")
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


def test_a_changed_header_is_compiled_anew(source: Path) -> None:
    before = compile_source(source, {})
    (source.parent / "verdict.h").write_text("#define VERDICT 2\n")
    assert compile_source(source, {})["program"].insns != before["program"].insns


def test_another_process_finds_what_was_compiled(
    source: Path, nothing_kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = anew(source)
    assert len(list(nothing_kept.iterdir())) == 1
    with monkeypatch.context() as patched:
        patched.delattr(bcc, "_run")
        assert anew(source) == made
        # Where the sources lie is nothing that programs are made of.
        elsewhere = source.parent.rename(source.parent.with_name("moved"))
        assert anew(elsewhere / source.name) == made
    (elsewhere / "verdict.h").write_text("#define VERDICT 2\n")
    assert anew(elsewhere / source.name) != made
    anew(elsewhere / source.name, MORE=1)
    assert len(list(nothing_kept.iterdir())) == 3


def test_what_is_kept_names_the_compiler_and_the_headers(source: Path, nothing_kept: Path) -> None:
    anew(source)
    (kept,) = nothing_kept.iterdir()
    made_of = json.loads(kept.read_text().partition("\n")[2])["made_of"]
    for name in ("uapi/linux/bpf.h", "libbcc.so", "libLLVM"):
        assert any(f"/{name}" in path for path in made_of)
    assert not any(path.startswith(str(source.parent)) for path in made_of)


@pytest.mark.parametrize("variable", ["CPATH", "CCC_OVERRIDE_OPTIONS", "ARCH"])
@pytest.mark.usefixtures("nothing_kept")
def test_the_environment_does_not_change_what_is_made(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    said = tmp_path / "environment"
    answer = '{"programs": {}, "made_of": None}'
    text = f"open({str(said)!r}, 'w').write(' '.join(os.environ))\njson.dump({answer}, sys.stdout)"
    compiler(tmp_path, monkeypatch, text)
    monkeypatch.setenv(variable, "x")
    compile_source(source, {})
    assert variable not in said.read_text().split()
    assert "BCC_KERNEL_SOURCE" in said.read_text().split()


def test_sources_that_change_meanwhile_are_not_kept(source: Path, nothing_kept: Path) -> None:
    bcc._known.clear()
    compile_source(source, {}, meanwhile=(source.parent / "new.h").touch)
    assert not nothing_kept.is_dir() or not list(nothing_kept.iterdir())


@pytest.mark.usefixtures("nothing_kept")
def test_a_compilation_is_ended_when_nobody_wants_it_any_more(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = compiler(tmp_path, monkeypatch, "time.sleep(600)")

    def meanwhile() -> None:
        if said.exists() and said.read_text():
            raise EndedEarlyError("stop")

    with pytest.raises(EndedEarlyError, match="stop"):
        compile_source(source, {}, meanwhile=meanwhile)
    assert process_state(int(said.read_text())) is None


@pytest.mark.usefixtures("nothing_kept")
def test_a_compiler_that_does_nothing_is_ended(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bcc, "_SILENCE", NO_SILENCE)
    said = compiler(tmp_path, monkeypatch, "time.sleep(600)")
    with pytest.raises(DatapathError, match=r"The compiler of program.c has done nothing for"):
        compile_source(source, {})
    assert process_state(int(said.read_text())) is None


@pytest.mark.usefixtures("nothing_kept")
def test_a_compiler_may_work_as_long_as_it_takes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bcc, "_SILENCE", NO_SILENCE)
    answer = '{"programs": {"program": "95" + "00" * 7}, "made_of": None}'
    work = f"while time.process_time() < {10 * NO_SILENCE}: pass\njson.dump({answer}, sys.stdout)"
    compiler(tmp_path, monkeypatch, work)
    signs: list[float] = []
    found = compile_source(source, {}, meanwhile=lambda: signs.append(1))
    assert found["program"].insns == b"\x95" + bytes(7)
    assert len(signs) > 3


def test_missing_bcc_is_reported_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(MissingFeatureError, match="apt-get install python3-bpfcc"):
        find_bcc(tmp_path / "bcc")


def test_the_unrelated_bcc_of_pypi_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    with pytest.raises(MissingFeatureError, match="is not the BPF Compiler"):
        find_bcc(tmp_path)
