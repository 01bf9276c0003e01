"""The lists of Cilium's other maps."""
