from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from ctconsole.agent.options import change_options
from ctconsole.agent.state import AgentSettings, StateDir
from ctconsole.config import write_option
from ctconsole.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TCP, ANY = "bpf-ct-global-tcp-max", "bpf-ct-global-any-max"


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    """One option in the folder, with blanks of somebody's own, and one given as a flag."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / TCP).write_text("  2048 \n\n")
    made = AgentSettings(tmp_path, tmp_path / "config", options=MappingProxyType({ANY: "1024"}))
    StateDir(tmp_path).save_settings(made)
    return made


def contents(folder: Path) -> Mapping[Path, str]:
    return {path: path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_an_option_is_changed_where_it_is_set_and_put_back_to_the_letter(
    settings: AgentSettings,
) -> None:
    before = contents(settings.state_dir)
    change = change_options(settings, {TCP: "4096", ANY: "8192", "enable-ipv6": "false"})
    config, _ = change.settings.read_config()
    assert (config.bpf_ct_global_tcp_max, config.bpf_ct_global_any_max) == (4096, 8192)
    assert not config.enable_ipv6
    assert change.settings.options == {ANY: "8192"}
    assert StateDir(settings.state_dir).load_settings() == change.settings
    change.undo()
    assert contents(settings.state_dir) == before


def test_what_the_agent_cannot_run_with_changes_nothing(settings: AgentSettings) -> None:
    before = contents(settings.state_dir)
    for changes in ({TCP: "4096", ANY: "12"}, {TCP: "4096", "bpf-nat-global-max": "16777216"}):
        with pytest.raises(ConfigError):
            change_options(settings, changes)
        assert contents(settings.state_dir) == before


def test_a_folder_that_takes_only_the_first_is_left_as_it_was(settings: AgentSettings) -> None:
    assert settings.config_dir
    (settings.config_dir / "enable-ipv6").mkdir()
    before = contents(settings.state_dir)
    with pytest.raises((ConfigError, OSError)):
        change_options(settings, {TCP: "4096", "enable-ipv6": "false"})
    assert contents(settings.state_dir) == before


def test_what_somebody_else_wrote_since_is_not_put_back(settings: AgentSettings) -> None:
    assert settings.config_dir
    change = change_options(settings, {TCP: "4096"})
    write_option(settings.config_dir, TCP, "65536")
    change.undo()
    assert (settings.config_dir / TCP).read_text().strip() == "65536"
