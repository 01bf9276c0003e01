"""The embedded agent: start-up sequence, restart, conntrack garbage collection."""
