from __future__ import annotations

import pytest

from ctconsole.errors import UsageError
from ctconsole.lab import names


@pytest.mark.parametrize("name", ["lab", "a", "demo-2", "x" * 31])
def test_a_name_that_fits_is_taken_as_it_is(name: str) -> None:
    assert names.check(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "Lab", "a/b", "..", "a b", "x" * 32, "a\n"])
def test_a_name_that_would_not_fit_a_path_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a lab"):
        names.check(name)


def test_the_first_free_name_is_found() -> None:
    assert names.free("lab", set()) == "lab"
    assert names.free("lab", {"lab", "lab-2", "lab-4"}) == "lab-3"


def test_namespaces_of_two_labs_differ() -> None:
    assert names.namespace("one", "node") != names.namespace("two", "node")
    assert names.namespace("one", "node").startswith(names.PREFIX)
