"""Pure maths on arrays: no disk, clock or hidden randomness."""
