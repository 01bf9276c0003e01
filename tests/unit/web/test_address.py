"""Addresses as they are typed."""

from __future__ import annotations

import pytest

from ctconsole.errors import UsageError
from ctconsole.web.address import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9965", Address("127.0.0.1", 9965)),
        ("[::1]:1", Address("::1", 1)),
        (":9965", Address("", 9965)),
        ("localhost:0", Address("localhost", 0)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "9965", "x", "::1:9965", "h:", "h:99999", "h:-1", "h:\u0661"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        (":1", False),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("localhost:1", False),
    ],
)
def test_which_only_this_machine_reaches(text: str, *, loopback: bool) -> None:
    assert Address.parse(text).is_loopback == loopback
