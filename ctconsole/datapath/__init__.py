"""Compile, load, attach, replace and detach the tc programs of an endpoint."""
