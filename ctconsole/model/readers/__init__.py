"""Readers of what others wrote: dumps, listings, answers and logs."""
