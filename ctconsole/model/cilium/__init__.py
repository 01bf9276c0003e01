"""Outputs that match those of Cilium's tools byte for byte."""
