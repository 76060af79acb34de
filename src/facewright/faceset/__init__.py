"""Faces as a collection on disk."""
