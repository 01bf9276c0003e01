"""The agent's options as preprocessor defines of ``bpf/node_config.h``."""

from __future__ import annotations

from typing import Protocol


class DatapathConfig(Protocol):
    """The options the programs depend on; `ctconsole.config.AgentConfig` is one. Seconds."""

    @property
    def bpf_ct_timeout_regular_tcp(self) -> int:
        """Life of an established TCP entry after its last packet."""

    @property
    def bpf_ct_timeout_regular_any(self) -> int:
        """Life of every other entry after its last packet."""

    @property
    def bpf_ct_timeout_regular_tcp_syn(self) -> int:
        """Life of a TCP entry that has seen nothing but SYNs."""

    @property
    def bpf_ct_timeout_regular_tcp_fin(self) -> int:
        """Life of a TCP entry both sides have closed."""

    @property
    def monitor_aggregation_interval(self) -> int:
        """Least time between two updates of an entry's report times."""

    @property
    def bpf_ct_timeout_service_tcp(self) -> int:
        """Life of a service's TCP entry after its last packet."""

    @property
    def bpf_ct_timeout_service_any(self) -> int:
        """Life of a service's other entries after their last packet."""

    @property
    def conntrack_local(self) -> bool:
        """Whether endpoints have conntrack tables of their own."""

    @property
    def enable_ipv4(self) -> bool:
        """Whether IPv4 packets are tracked; they are dropped otherwise."""

    @property
    def enable_ipv6(self) -> bool:
        """Whether IPv6 packets are tracked; they are dropped otherwise."""

    @property
    def enable_session_affinity(self) -> bool:
        """Whether services may bind a client to its backend."""

    @property
    def bpf_lb_algorithm(self) -> str:
        """``random`` or ``maglev``."""

    @property
    def bpf_lb_maglev_table_size(self) -> int:
        """Slots of a Maglev table, a prime."""

    @property
    def enable_ipv4_fragment_tracking(self) -> bool:
        """Whether fragments follow their datagram's first; they are dropped otherwise."""

    @property
    def enable_monitor(self) -> bool:
        """Whether packets are told of in ``cilium_events``."""

    @property
    def monitor_aggregation(self) -> str:
        """Which of the packets that pass are told of: a key of `AGGREGATION`."""

    @property
    def trace_payloadlen(self) -> int:
        """How many bytes of a packet are told."""


AGGREGATION = {"none": 0, "lowest": 1, "low": 1, "medium": 3, "maximum": 4}
"""``OpsMonitorAggregation``: the levels by their names in the configuration."""


def node_defines(config: DatapathConfig) -> dict[str, int]:
    """The defines one compilation is made with; Cilium writes the same names to its headers."""
    return {
        "CT_CONNECTION_LIFETIME_TCP": config.bpf_ct_timeout_regular_tcp,
        "CT_CONNECTION_LIFETIME_NONTCP": config.bpf_ct_timeout_regular_any,
        "CT_SERVICE_LIFETIME_TCP": config.bpf_ct_timeout_service_tcp,
        "CT_SERVICE_LIFETIME_NONTCP": config.bpf_ct_timeout_service_any,
        "CT_SYN_TIMEOUT": config.bpf_ct_timeout_regular_tcp_syn,
        "CT_CLOSE_TIMEOUT": config.bpf_ct_timeout_regular_tcp_fin,
        "CT_REPORT_INTERVAL": config.monitor_aggregation_interval,
        "ENABLE_IPV4": int(config.enable_ipv4),
        "ENABLE_IPV6": int(config.enable_ipv6),
        "ENABLE_SESSION_AFFINITY": int(config.enable_session_affinity),
        "LB_SELECTION_MAGLEV": int(uses_maglev(config)),
        "LB_MAGLEV_LUT_SIZE": config.bpf_lb_maglev_table_size,
        "ENABLE_IPV4_FRAGMENTS": int(config.enable_ipv4_fragment_tracking),
        "ENABLE_MONITOR": int(config.enable_monitor),
        "MONITOR_AGGREGATION": AGGREGATION[config.monitor_aggregation],
        "TRACE_PAYLOAD_LEN": config.trace_payloadlen,
    }


def uses_maglev(config: DatapathConfig) -> bool:
    """Whether backends are chosen by a lookup table instead of at random."""
    return config.bpf_lb_algorithm == "maglev"
