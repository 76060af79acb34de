"""Facesets of other programs, in and out: DeepFaceLab's, and faceswap's alignments."""
