"""Composed frames -> signed deliverables."""
