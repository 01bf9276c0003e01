"""Widgets that only render."""
