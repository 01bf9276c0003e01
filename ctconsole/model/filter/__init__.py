"""The filter language: one for entries, events and maps, each with its own table of fields."""
