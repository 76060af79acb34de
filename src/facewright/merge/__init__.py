"""Net + film -> composed frames."""
