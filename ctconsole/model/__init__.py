"""Bytes and rules without I/O: layouts, text, specs, snapshots, differences."""
