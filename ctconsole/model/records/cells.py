"""The columns of our own lists, for each kind of map: a name, a field of the record, a form."""

from __future__ import annotations

from typing import Final

from ctconsole.model.records.spec import Form, ListColumn

NAT_CELLS: Final = (
    ListColumn("protocol", "nexthdr", Form.PROTOCOL),
    ListColumn("direction", "flags", Form.DIRECTION),
    ListColumn("source", "saddr", Form.ADDRESS),
    ListColumn("source_port", "sport"),
    ListColumn("destination", "daddr", Form.ADDRESS),
    ListColumn("destination_port", "dport"),
    ListColumn("to_address", "to_addr", Form.ADDRESS),
    ListColumn("to_port", "to_port"),
    ListColumn("age_seconds", "created", Form.AGE),
    ListColumn("needs_ct", "needs_ct"),
)
SERVICE_CELLS: Final = (
    ListColumn("address", "address", Form.ADDRESS),
    ListColumn("port", "dport"),
    ListColumn("protocol", "proto", Form.PROTOCOL),
    ListColumn("slot", "backend_slot"),
    ListColumn("scope", "scope"),
    ListColumn("backend_id", "backend_id", Form.OF_SLOT),
    ListColumn("affinity", "backend_id", Form.AFFINITY),
    ListColumn("proxy_port", "backend_id", Form.PROXY_PORT),
    ListColumn("algorithm", "backend_id", Form.ALGORITHM),
    ListColumn("count", "count"),
    ListColumn("rev_nat", "rev_nat_index"),
    ListColumn("flags", "flags", Form.SERVICE_FLAGS),
)
BACKEND_CELLS: Final = (
    ListColumn("id", "id"),
    ListColumn("address", "address", Form.ADDRESS),
    ListColumn("port", "port"),
    ListColumn("protocol", "proto", Form.PROTOCOL),
    ListColumn("state", "flags"),
)
ZONE_CELLS: Final = (ListColumn("cluster_id", "cluster_id"), ListColumn("zone", "zone"))
REVERSE_NAT_CELLS: Final = (
    ListColumn("rev_nat", "id"),
    ListColumn("address", "address", Form.ADDRESS),
    ListColumn("port", "port"),
)
AFFINITY_CELLS: Final = (
    ListColumn("client", "client_ip", Form.ADDRESS),
    ListColumn("rev_nat", "rev_nat_id"),
    ListColumn("netns_cookie", "netns_cookie"),
    ListColumn("backend_id", "backend_id"),
    ListColumn("last_used", "last_used"),
)
SOURCE_RANGE_CELLS: Final = (
    ListColumn("prefix", "address", Form.PREFIX),
    ListColumn("rev_nat", "rev_nat_id"),
)
POLICY_CELLS: Final = (
    ListColumn("policy", "flags", Form.DENY),
    ListColumn("direction", "egress", Form.TRAFFIC),
    ListColumn("identity", "sec_label"),
    ListColumn("port", "dport"),
    ListColumn("protocol", "protocol", Form.PROTOCOL),
    ListColumn("proxy_port", "proxy_port"),
)
COUNTED_CELLS: Final = (ListColumn("packets", "packets"), ListColumn("bytes", "bytes"))
COUNTER_CELLS: Final = (
    ListColumn("packets", "packets", Form.COUNTER),
    ListColumn("bytes", "bytes", Form.COUNTER),
)
"""For rules that are counted elsewhere, or not at all."""

V2_CELLS: Final = (
    ListColumn("prefix_bits", "prefixlen", Form.PREFIX_BITS),
    ListColumn("auth_type", "auth_type"),
    ListColumn("precedence", "precedence"),
)
POLICY_STATS_CELLS: Final = (
    ListColumn("endpoint", "endpoint_id"),
    ListColumn("direction", "egress", Form.TRAFFIC),
    ListColumn("identity", "sec_label"),
    ListColumn("port", "dport"),
    ListColumn("protocol", "protocol", Form.PROTOCOL),
    ListColumn("prefix_bits", "prefix_len"),
    ListColumn("packets", "packets"),
    ListColumn("bytes", "bytes"),
)
IPCACHE_CELLS: Final = (
    ListColumn("prefix", "address", Form.PREFIX),
    ListColumn("cluster_id", "cluster_id"),
    ListColumn("identity", "sec_label"),
    ListColumn("tunnel_endpoint", "tunnel_endpoint", Form.ADDRESS),
    ListColumn("encrypt_key", "key"),
)
FLAGS_CELL: Final = ListColumn("flags", "flags")
ENDPOINT_CELLS: Final = (
    ListColumn("address", "address", Form.EITHER_ADDRESS),
    ListColumn("endpoint", "lxc_id"),
    ListColumn("identity", "sec_id"),
    ListColumn("ifindex", "ifindex"),
    ListColumn("mac", "mac", Form.MAC),
    ListColumn("node_mac", "node_mac", Form.MAC),
    ListColumn("flags", "flags"),
)
METRICS_CELLS: Final = (
    ListColumn("reason", "reason", Form.REASON),
    ListColumn("reason_code", "reason"),
    ListColumn("direction", "dir", Form.METRIC_DIRECTION),
    ListColumn("packets", "count"),
    ListColumn("bytes", "bytes"),
)
PLACE_CELLS: Final = (ListColumn("line", "line"), ListColumn("file", "file", Form.FILE))
TUNNEL_CELLS: Final = (
    ListColumn("network", "address", Form.EITHER_ADDRESS),
    ListColumn("node", "node_address", Form.EITHER_ADDRESS),
    ListColumn("key", "node_key"),
)
FRAGMENT_CELLS: Final = (
    ListColumn("source", "saddr", Form.ADDRESS),
    ListColumn("destination", "daddr", Form.ADDRESS),
    ListColumn("id", "id"),
    ListColumn("protocol", "proto", Form.PROTOCOL),
    ListColumn("source_port", "sport"),
    ListColumn("destination_port", "dport"),
)
