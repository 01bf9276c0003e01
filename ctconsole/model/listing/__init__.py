"""Our own outputs."""
