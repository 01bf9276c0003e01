"""Verbs that tell of the node and of what happens on it."""
