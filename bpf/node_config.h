/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The node's configuration: the loader defines these, the defaults are Cilium 1.9's. */
#ifndef CTCONSOLE_NODE_CONFIG_H
#define CTCONSOLE_NODE_CONFIG_H

/* Switches: 1 or 0. Packets of a family that is off are dropped. */
#ifndef ENABLE_IPV4
#define ENABLE_IPV4 1
#endif
#ifndef ENABLE_IPV6
#define ENABLE_IPV6 1
#endif
/* Services may bind a client to its backend. */
#ifndef ENABLE_SESSION_AFFINITY
#define ENABLE_SESSION_AFFINITY 0
#endif
/* Backends are chosen by a lookup table instead of at random. */
#ifndef LB_SELECTION_MAGLEV
#define LB_SELECTION_MAGLEV 0
#endif

/* Whether fragments of IPv4 datagrams follow their first; they are dropped otherwise. */
#ifndef ENABLE_IPV4_FRAGMENTS
#define ENABLE_IPV4_FRAGMENTS 1
#endif

/* Seconds. */
#ifndef CT_CONNECTION_LIFETIME_TCP
#define CT_CONNECTION_LIFETIME_TCP 21600
#endif
#ifndef CT_CONNECTION_LIFETIME_NONTCP
#define CT_CONNECTION_LIFETIME_NONTCP 60
#endif
#ifndef CT_SERVICE_LIFETIME_TCP
#define CT_SERVICE_LIFETIME_TCP 21600
#endif
#ifndef CT_SERVICE_LIFETIME_NONTCP
#define CT_SERVICE_LIFETIME_NONTCP 60
#endif
#ifndef CT_SERVICE_CLOSE_REBALANCE
#define CT_SERVICE_CLOSE_REBALANCE 60
#endif
#ifndef CT_SYN_TIMEOUT
#define CT_SYN_TIMEOUT 60
#endif
#ifndef CT_CLOSE_TIMEOUT
#define CT_CLOSE_TIMEOUT 10
#endif
#ifndef CT_REPORT_INTERVAL
#define CT_REPORT_INTERVAL 5
#endif

/* TCP flags kept in tx_flags_seen and rx_flags_seen. */
#ifndef CT_REPORT_FLAGS
#define CT_REPORT_FLAGS 0x07
#endif

/* Backend ids in a Maglev table. */
#ifndef LB_MAGLEV_LUT_SIZE
#define LB_MAGLEV_LUT_SIZE 16381
#endif

/* Source of a pod's packets to itself: 169.254.42.1, ipv4-service-loopback-address. */
#ifndef IPV4_LOOPBACK
#define IPV4_LOOPBACK 0xa9fe2a01
#endif

#endif /* CTCONSOLE_NODE_CONFIG_H */
