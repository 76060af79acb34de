"""Sets made anew: other sizes and types, enhanced, through an editor and back."""
