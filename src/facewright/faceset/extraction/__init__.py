"""Extraction: films and pictures -> faces, by one process, several, or a cluster."""
