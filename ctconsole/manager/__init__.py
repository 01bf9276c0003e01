"""The map manager: Cilium's open-or-create logic, re-creation, resizing, what fills the maps."""
