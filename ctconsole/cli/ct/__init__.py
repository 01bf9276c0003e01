"""The verbs of ``ctconsole ct``."""
