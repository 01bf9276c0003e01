"""The embedded agent: start-up, switches to new maps, control plane, garbage collection."""
