"""A resize of many nodes, one after the other: planned, watched, undone on trouble, resumed."""
