"""The verbs of ``ctconsole lab``."""
