"""Tracks and people: who is who over all films of a set."""
