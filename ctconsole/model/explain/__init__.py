"""What operators ask of a node, answered from what is at hand."""
