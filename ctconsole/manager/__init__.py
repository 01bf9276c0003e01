"""The map manager: Cilium's open-or-create logic, recreation, the catalogue of maps."""
