"""Filters, what they take out, and how well one set covers another."""
