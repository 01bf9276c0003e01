from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ctconsole.datapath.headers import kernel_tree
from ctconsole.errors import DatapathError, MissingFeatureError

if TYPE_CHECKING:
    from pathlib import Path

COMMON = {"include/uapi/linux/bpf.h": "", "include/linux/kconfig.h": "", "Makefile": "common"}
FLAVOUR = {"include/generated/autoconf.h": "", "Makefile": "flavour"}


def plant(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def debian(sources: Path, version: str) -> Path:
    plant(sources / f"linux-headers-{version}-common", COMMON)
    return plant(sources / f"linux-headers-{version}-amd64", FLAVOUR)


def test_split_headers_are_laid_over_each_other(tmp_path: Path) -> None:
    debian(tmp_path / "src", "6.1.0-50")
    tree = kernel_tree(tmp_path / "src", tmp_path / "modules", tmp_path / "cache")
    assert all((tree / name).is_file() for name in (*COMMON, *FLAVOUR))
    assert (tree / "Makefile").read_text() == "flavour"
    assert tree.is_relative_to(tmp_path / "cache")


def test_the_newest_version_is_taken_by_number(tmp_path: Path) -> None:
    for version in ("6.1.0-9", "6.1.0-50", "5.10.0-60"):
        debian(tmp_path / "src", version)
    tree = kernel_tree(tmp_path / "src", tmp_path / "modules", tmp_path / "cache")
    assert tree.name.startswith("linux-headers-6.1.0-50-amd64")


def test_the_running_kernel_s_tree_is_used_where_it_is(tmp_path: Path) -> None:
    debian(tmp_path / "src", "6.1.0-50")
    build = tmp_path / "modules" / os.uname().release / "build"
    plant(build, COMMON | FLAVOUR)
    assert kernel_tree(tmp_path / "src", tmp_path / "modules", tmp_path / "cache") == build


def test_many_at_once_make_one_tree(tmp_path: Path) -> None:
    debian(tmp_path / "src", "6.1.0-50")
    with ThreadPoolExecutor(8) as pool:
        work = [
            pool.submit(kernel_tree, tmp_path / "src", tmp_path / "modules", tmp_path / "cache")
            for _ in range(16)
        ]
        trees = {each.result() for each in work}
    assert len(trees) == 1
    assert [path.name for path in (tmp_path / "cache/headers").iterdir()] == [trees.pop().name]


def test_new_headers_under_an_old_name_are_merged_anew(tmp_path: Path) -> None:
    flavour = debian(tmp_path / "src", "6.1.0-50")
    where = (tmp_path / "src", tmp_path / "modules", tmp_path / "cache")
    first = kernel_tree(*where)
    os.utime(flavour, ns=(2**62, 2**62))
    assert kernel_tree(*where) != first


def test_without_headers_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFeatureError, match="apt-get install python3-bpfcc linux-headers"):
        kernel_tree(tmp_path, tmp_path, tmp_path)


def test_headers_are_not_laid_together_where_others_can_exchange_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    debian(tmp_path / "src", "6.1.0-50")
    for variable in ("XDG_CACHE_HOME", "CTCONSOLE_RUN_DIR"):
        (tmp_path / variable).mkdir()
        (tmp_path / variable).chmod(0o777)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    with pytest.raises(DatapathError, match="others can write to them too"):
        kernel_tree(tmp_path / "src", tmp_path / "modules")
