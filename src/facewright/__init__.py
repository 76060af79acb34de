"""facewright replaces a face in film with another, with consent and provenance built in."""

__version__ = "0.1.0"
