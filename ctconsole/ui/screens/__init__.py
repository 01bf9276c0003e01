"""One module for each screen and dialogue of the console."""
