"""The verbs of ``ctconsole map``."""
