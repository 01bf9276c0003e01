"""Conntrack entries: layouts, tables, order, filters, risk."""
