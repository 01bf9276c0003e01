"""What the datapath tells of single packets."""
