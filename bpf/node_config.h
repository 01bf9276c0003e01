/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The node's configuration: the loader defines these, the defaults are Cilium 1.9's. */
#ifndef CTCONSOLE_NODE_CONFIG_H
#define CTCONSOLE_NODE_CONFIG_H

/* Seconds. */
#ifndef CT_CONNECTION_LIFETIME_TCP
#define CT_CONNECTION_LIFETIME_TCP 21600
#endif
#ifndef CT_CONNECTION_LIFETIME_NONTCP
#define CT_CONNECTION_LIFETIME_NONTCP 60
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

#endif /* CTCONSOLE_NODE_CONFIG_H */
