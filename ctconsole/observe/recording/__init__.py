"""Recordings of a node: what a console kept, written to a file, and read from one."""
