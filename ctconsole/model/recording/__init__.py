"""How the moments of a node become bytes, and moments again."""
