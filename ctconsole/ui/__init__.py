"""The Textual console: renders snapshots and sends intents."""
