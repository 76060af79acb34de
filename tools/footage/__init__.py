"""Footage of synthetic people: renders clips of heads that never existed, with exact ground truth.

The head shape comes from a published model (ICT-FaceKit, MIT) that is read by path and is not part of the repository.
Skin, hair, eyes, cloth, light, motion and voice are made by the code here from a seed and a few documented parameters.
"""
