"""Kubernetes, as far as a rolling resize needs it, through its official client."""
