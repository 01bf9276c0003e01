"""Sources of snapshots for the console: live node, dumps, samplers and watchers."""
