"""How many rows become bytes."""
