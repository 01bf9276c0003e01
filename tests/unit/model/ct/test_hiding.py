"""Hidden addresses: nothing is told of them but which networks they share."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctconsole.errors import UsageError
from ctconsole.model.ct.hiding import Hiding
from ctconsole.model.ct.layout import CtFlag, Layout
from tests.support.ct_tables import Entry, ct_table

KEY = bytes(range(32))


def hidden(hiding: Hiding, *texts: str) -> list[str]:
    rows = np.array([list(ip_address(one).packed) for one in texts], np.uint8)
    return [str(ip_address(row.tobytes())) for row in hiding.addresses(rows)]


def common(one: bytes, other: bytes) -> int:
    """Bits at the beginning that are the same."""
    differing = int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
    return len(one) * 8 - differing.bit_length()


@given(
    st.integers(4, 16).flatmap(
        lambda n: st.lists(st.binary(min_size=4, max_size=4), min_size=2, max_size=n)
    )
)
def test_networks_are_kept_bit_by_bit(addresses: list[bytes]) -> None:
    rows = np.array([list(one) for one in addresses], np.uint8)
    found = [row.tobytes() for row in Hiding(KEY).addresses(rows)]
    for one, shown in zip(addresses, found, strict=True):
        for other, beside in zip(addresses, found, strict=True):
            assert common(one, other) == common(shown, beside)


@given(st.binary(min_size=16, max_size=16), st.integers(0, 127))
def test_so_are_those_of_ipv6(address: bytes, bit: int) -> None:
    other = (int.from_bytes(address, "big") ^ (1 << (127 - bit))).to_bytes(16, "big")
    rows = np.array([list(address), list(other)], np.uint8)
    found = [row.tobytes() for row in Hiding(KEY).addresses(rows)]
    assert common(*found) == bit


def test_a_key_gives_the_same_each_time_and_another_key_others() -> None:
    some = ("10.0.1.7", "10.0.1.8", "192.168.0.1")
    assert hidden(Hiding(KEY), *some) == hidden(Hiding(KEY), *some)
    assert hidden(Hiding(KEY), *some) == [hidden(Hiding(KEY), one)[0] for one in some]
    assert not set(hidden(Hiding(KEY), *some)) & set(hidden(Hiding(bytes(32)), *some))
    assert not set(hidden(Hiding(KEY), *some)) & set(some)


def test_every_bit_is_turned_about_as_often_as_not() -> None:
    rows = np.random.default_rng(1).integers(0, 256, (5000, 4)).astype(np.uint8)
    turned = np.unpackbits(Hiding(KEY).addresses(rows) ^ rows, axis=1).mean(axis=0)
    # The first bits have few prefixes, and so few chances.
    assert ((turned[8:] > 0.45) & (turned[8:] < 0.55)).all()


def test_what_is_turned_depends_on_all_bits_before() -> None:
    """One network shows nothing of how another is hidden, nor half of one of its other half."""
    rows = np.zeros((256, 4), np.uint8)
    rows[:, 3] = np.arange(256)
    turned = Hiding(KEY).addresses(rows)[:, 3] ^ rows[:, 3]
    assert len(set(turned.tolist())) > 16
    rows[:, 2] = 1
    assert (turned != Hiding(KEY).addresses(rows)[:, 3] ^ rows[:, 3]).any()


def test_the_families_have_nothing_to_do_with_one_another() -> None:
    [four] = hidden(Hiding(KEY), "10.0.1.7")
    [six] = hidden(Hiding(KEY), "0a00:0107::")
    assert ip_address(four).packed != ip_address(six).packed[:4]


def test_a_key_that_is_too_short_is_refused() -> None:
    with pytest.raises(UsageError, match="32 bytes or more, and this one 31"):
        Hiding(KEY[:31])


def test_a_table_keeps_all_but_its_addresses() -> None:
    table = ct_table(
        Entry("10.0.1.7:40000", "10.0.2.9:443"), Entry("10.0.1.8:40001", "10.0.2.9:443")
    )
    found = Hiding(KEY).table(table)
    assert set(found.keys["saddr"].tobytes()) != set(table.keys["saddr"].tobytes())
    for name in ("sport", "dport", "nexthdr", "flags"):
        assert (found.keys[name] == table.keys[name]).all()
    assert (found.values == table.values).all()
    first, second = (ip_address(row.tobytes()) for row in found.ends.source)
    assert second in ip_network(f"{first}/28", strict=False)
    assert (found.ends.destination[0] == found.ends.destination[1]).all()


def test_where_dsr_replies_leave_from_is_not_told() -> None:
    table = ct_table(Entry(flags=CtFlag.DSR | 0x10), Entry(flags=0x10), layout=Layout.V1_19)
    values = table.values.copy()
    values["nat_addr"] = 7
    found = Hiding(KEY).table(type(table)(table.info, table.layout, table.keys, values, 1, 1.0))
    assert found.values["nat_addr"].tolist() == [[0] * 16, [7] * 16]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Dropped 10.0.1.7:80 -> [fd00::1]:443, 3 times", "Dropped {}:80 -> [{}]:443, 3 times"),
        ("at 11:02:31 of 1.18.3, map 12", "at 11:02:31 of 1.18.3, map 12"),
        ("999.1.1.1 and ::ffff:1.2.3.400", "999.1.1.1 and ::ffff:1.2.3.400"),
        ("aa:bb:cc:dd:ee:ff", "aa:bb:cc:dd:ee:ff"),
        ("fe80::1", "{}"),
    ],
)
def test_addresses_are_found_in_a_text(text: str, kept: str) -> None:
    clear = [one for one in ("10.0.1.7", "fd00::1", "fe80::1") if one in text]
    hiding = Hiding(KEY)
    assert hiding.text(text) == kept.format(*(hidden(hiding, one)[0] for one in clear))


def test_a_node_has_another_name() -> None:
    hiding = Hiding(KEY)
    assert hiding.name("worker-7") == Hiding(KEY).name("worker-7") != hiding.name("worker-8")
    assert "worker" not in hiding.name("worker-7")
