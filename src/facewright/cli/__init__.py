"""Terminal client of the api."""
