"""``ctconsole fleet`` and its verbs."""
