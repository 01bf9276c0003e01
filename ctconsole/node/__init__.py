"""What one knows of a node and does to it, for the console and the command line alike."""
