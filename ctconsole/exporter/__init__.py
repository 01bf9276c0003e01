"""The exporter: a node's maps as metrics for Prometheus, over HTTP or as a text file."""
