"""Another capacity for tables of an agent that is not ours, made before the agent restarts."""
