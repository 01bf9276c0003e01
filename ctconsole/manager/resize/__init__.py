"""Another capacity for a map without losing an entry, a counter or a connection."""
