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
    def conntrack_local(self) -> bool:
        """Whether endpoints have conntrack tables of their own."""


def node_defines(config: DatapathConfig) -> dict[str, int]:
    """The defines one compilation is made with; Cilium writes the same names to its headers."""
    return {
        "CT_CONNECTION_LIFETIME_TCP": config.bpf_ct_timeout_regular_tcp,
        "CT_CONNECTION_LIFETIME_NONTCP": config.bpf_ct_timeout_regular_any,
        "CT_SYN_TIMEOUT": config.bpf_ct_timeout_regular_tcp_syn,
        "CT_CLOSE_TIMEOUT": config.bpf_ct_timeout_regular_tcp_fin,
        "CT_REPORT_INTERVAL": config.monitor_aggregation_interval,
    }
