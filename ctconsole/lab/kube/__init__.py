"""A small Kubernetes whose nodes are labs: its API, and commands in pods over WebSocket."""
