"""The columns of our own lists, for each kind of map: a name, a field of the record, a form."""

from __future__ import annotations

from typing import Final

from ctconsole.model.records.spec import Cell, Form

NAT_CELLS: Final = (
    Cell("protocol", "nexthdr", Form.PROTOCOL),
    Cell("direction", "flags", Form.DIRECTION),
    Cell("source", "saddr", Form.ADDRESS),
    Cell("source_port", "sport"),
    Cell("destination", "daddr", Form.ADDRESS),
    Cell("destination_port", "dport"),
    Cell("to_address", "to_addr", Form.ADDRESS),
    Cell("to_port", "to_port"),
    Cell("age_seconds", "created", Form.AGE),
    Cell("needs_ct", "needs_ct"),
)
SERVICE_CELLS: Final = (
    Cell("address", "address", Form.ADDRESS),
    Cell("port", "dport"),
    Cell("protocol", "proto", Form.PROTOCOL),
    Cell("slot", "backend_slot"),
    Cell("scope", "scope"),
    Cell("backend_id", "backend_id"),
    Cell("count", "count"),
    Cell("rev_nat", "rev_nat_index"),
    Cell("flags", "flags", Form.SERVICE_FLAGS),
)
BACKEND_CELLS: Final = (
    Cell("id", "id"),
    Cell("address", "address", Form.ADDRESS),
    Cell("port", "port"),
    Cell("protocol", "proto", Form.PROTOCOL),
    Cell("state", "flags"),
)
ZONE_CELLS: Final = (Cell("cluster_id", "cluster_id"), Cell("zone", "zone"))
REVERSE_NAT_CELLS: Final = (
    Cell("rev_nat", "id"),
    Cell("address", "address", Form.ADDRESS),
    Cell("port", "port"),
)
AFFINITY_CELLS: Final = (
    Cell("client", "client_ip", Form.ADDRESS),
    Cell("rev_nat", "rev_nat_id"),
    Cell("netns_cookie", "netns_cookie"),
    Cell("backend_id", "backend_id"),
    Cell("last_used", "last_used"),
)
SOURCE_RANGE_CELLS: Final = (
    Cell("prefix", "address", Form.PREFIX),
    Cell("rev_nat", "rev_nat_id"),
)
POLICY_CELLS: Final = (
    Cell("policy", "flags", Form.DENY),
    Cell("direction", "egress", Form.TRAFFIC),
    Cell("identity", "sec_label"),
    Cell("port", "dport"),
    Cell("protocol", "protocol", Form.PROTOCOL),
    Cell("proxy_port", "proxy_port"),
)
COUNTED_CELLS: Final = (Cell("packets", "packets"), Cell("bytes", "bytes"))
COUNTER_CELLS: Final = (
    Cell("packets", "packets", Form.COUNTER),
    Cell("bytes", "bytes", Form.COUNTER),
)
"""For rules that are counted elsewhere, or not at all."""

V2_CELLS: Final = (
    Cell("prefix_bits", "prefixlen", Form.PREFIX_BITS),
    Cell("auth_type", "auth_type"),
    Cell("precedence", "precedence"),
)
POLICY_STATS_CELLS: Final = (
    Cell("endpoint", "endpoint_id"),
    Cell("direction", "egress", Form.TRAFFIC),
    Cell("identity", "sec_label"),
    Cell("port", "dport"),
    Cell("protocol", "protocol", Form.PROTOCOL),
    Cell("prefix_bits", "prefix_len"),
    Cell("packets", "packets"),
    Cell("bytes", "bytes"),
)
IPCACHE_CELLS: Final = (
    Cell("prefix", "address", Form.PREFIX),
    Cell("cluster_id", "cluster_id"),
    Cell("identity", "sec_label"),
    Cell("tunnel_endpoint", "tunnel_endpoint", Form.ADDRESS),
    Cell("encrypt_key", "key"),
)
FLAGS_CELL: Final = Cell("flags", "flags")
ENDPOINT_CELLS: Final = (
    Cell("address", "address", Form.EITHER_ADDRESS),
    Cell("endpoint", "lxc_id"),
    Cell("identity", "sec_id"),
    Cell("ifindex", "ifindex"),
    Cell("mac", "mac", Form.MAC),
    Cell("node_mac", "node_mac", Form.MAC),
    Cell("flags", "flags"),
)
METRICS_CELLS: Final = (
    Cell("reason", "reason", Form.REASON),
    Cell("reason_code", "reason"),
    Cell("direction", "dir", Form.METRIC_DIRECTION),
    Cell("packets", "count"),
    Cell("bytes", "bytes"),
)
PLACE_CELLS: Final = (Cell("line", "line"), Cell("file", "file", Form.FILE))
TUNNEL_CELLS: Final = (
    Cell("network", "address", Form.EITHER_ADDRESS),
    Cell("node", "node_address", Form.EITHER_ADDRESS),
    Cell("key", "node_key"),
)
FRAGMENT_CELLS: Final = (
    Cell("source", "saddr", Form.ADDRESS),
    Cell("destination", "daddr", Form.ADDRESS),
    Cell("id", "id"),
    Cell("protocol", "proto", Form.PROTOCOL),
    Cell("source_port", "sport"),
    Cell("destination_port", "dport"),
)
