"""What may be reached over a network: where it listens, and who is let in."""
