"""What shells complete, and the manual page: both made of the command tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.shell_completion import ShellComplete, shell_complete
from click.testing import CliRunner

from ctconsole.cli.main import root
from ctconsole.cli.manpage import page
from ctconsole.paths import GLOBALS
from tests.unit.cli.test_main import LEAVES

if TYPE_CHECKING:
    from pathlib import Path


def completed(*words: str) -> list[str]:
    complete = ShellComplete(root, {}, "ctconsole", "_CTCONSOLE_COMPLETE")
    return [one.value for one in complete.get_completions(list(words[:-1]), words[-1])]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path))
    folder = tmp_path / "labs" / "garden" / "bpf" / GLOBALS
    folder.mkdir(parents=True)
    for name in ("cilium_ct4_global", "cilium_ct_any4_global", "cilium_lxc"):
        (folder / name).touch()
    return "garden"


def test_verbs_are_completed_and_not_the_options_of_the_console() -> None:
    assert {"ct", "completion", "config", "console"} <= {*completed("c")} | {*completed("")}
    assert completed("map", "adv") == ["advise"]


def test_maps_labs_columns_and_fields_are_completed(lab: str) -> None:
    assert completed("map", "list", "--lab", "") == [lab]
    assert completed("map", "show", "--lab", lab, "ct4") == ["cilium_ct4_global"]
    assert completed("ct", "flush", "--lab", lab, "cilium_ct") == [
        "cilium_ct4_global",
        "cilium_ct_any4_global",
    ]
    assert completed("map", "list", "--sort", "max") == ["max_entries"]
    assert completed("ct", "list", "--columns", "source,dest") == ["source,destination"]
    assert completed("nat", "list", "--columns", "to_a") == ["to_address"]
    assert completed("ct", "list", "--filter", "dpo") == ["dport:"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell: str) -> None:
    text = CliRunner().invoke(root, ["completion", shell], standalone_mode=False).output
    assert f"_CTCONSOLE_COMPLETE={shell}_complete" in text
    refused = CliRunner().invoke(root, ["completion", "tcsh"])
    assert refused.exit_code == 2


def test_bash_completes_with_the_script(lab: str, tmp_path: Path) -> None:
    program = tmp_path / "ctconsole"
    program.write_text(f"#!{sys.executable}\nfrom ctconsole.__main__ import main\nmain()\n")
    program.chmod(0o755)
    script = f"""
        PATH={tmp_path}:$PATH
        eval "$(ctconsole completion bash)"
        COMP_WORDS=(ctconsole map show --lab {lab} any4) COMP_CWORD=5
        _ctconsole_completion ctconsole
        echo "${{COMPREPLY[*]}}"
        COMP_WORDS=(ctconsole map show --lab {lab} cilium_l) COMP_CWORD=5
        _ctconsole_completion ctconsole
        echo "${{COMPREPLY[*]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "cilium_lxc"


def test_the_manual_page_tells_of_every_verb_and_option() -> None:
    text = "\n".join(page(root)).replace("\\-", "-")
    for words, command in LEAVES.items():
        if not command.hidden:
            assert f".SS ctconsole {' '.join(words)}" in text
    assert "ctconsole map resize cilium_ct4_global 1M --yes" in text
    assert ".SH EXIT STATUS" in text
    assert not [line for line in text.splitlines() if line.startswith("'")]


@pytest.mark.skipif(not shutil.which("groff"), reason="only groff tells whether a page is sound")
def test_the_manual_page_has_no_faults() -> None:
    text = "\n".join(page(root))
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww"], input=text, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "ctconsole ct list" in done.stdout.replace("\x1b[1m", "").replace("\x1b[0m", "")


@pytest.mark.parametrize(
    ("shell", "words", "told"),
    [
        ("bash", "ctconsole map show --lab garden cilium_l", "plain,cilium_lxc"),
        ("zsh", "ctconsole map show --lab garden cilium_l", "plain\ncilium_lxc\n_"),
        ("fish", "ctconsole map show --lab garden cilium_l", "plain,cilium_lxc"),
        ("bash", "ctconsole ct list --filter dpo", "plain,dport:"),
        ("zsh", "ctconsole ct list --filter dpo", "plain\ndport:\n_"),
        ("fish", "ctconsole ct list --filter dpo", "plain,dport:"),
        ("fish", "ctconsole monitor --columns spo", "plain,sport"),
        ("zsh", "ctconsole events --sort su", "plain\nsubject\n_"),
    ],
)
def test_each_shell_is_told_names_in_its_own_form(
    lab: str,
    shell: str,
    words: str,
    told: str,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lab == "garden"
    every = words.split()
    monkeypatch.setenv("COMP_WORDS", words)
    # How the scripts of click ask: fish hands the word itself over, the others its place.
    monkeypatch.setenv("COMP_CWORD", every[-1] if shell == "fish" else str(len(every) - 1))
    done = shell_complete(root, {}, "ctconsole", "_CTCONSOLE_COMPLETE", f"{shell}_complete")
    assert done == 0
    assert capsys.readouterr().out.strip() == told
