"""Weights out of facesets."""
