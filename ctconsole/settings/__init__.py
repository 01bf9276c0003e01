"""What a person has settled: the fields, the file they stand in, and the keys."""
