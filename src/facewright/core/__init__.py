"""Words that every room speaks: errors, settings, files, journal, steps, weights."""
