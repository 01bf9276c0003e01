"""Cilium's other maps as data."""
