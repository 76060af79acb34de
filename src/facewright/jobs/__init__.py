"""Run any Step so that kill -9 costs one item."""
