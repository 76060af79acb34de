"""Nets: graphs, weights, files of weights."""
