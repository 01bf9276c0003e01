"""The wishes of our agent and the rows they become."""
