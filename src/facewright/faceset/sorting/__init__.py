"""What is measured of faces, and the orders made of it."""
