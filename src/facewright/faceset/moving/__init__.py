"""Faces between sets, and sets in one file."""
