"""Still faces of people who never existed, as facesets with exact landmarks and exact masks.

The head is the same model as in `tools.footage`; here every face is somebody else, lit, posed and filmed otherwise, and
for masks hands and things come before it.
"""
