"""The quality table: knows correctors, nobody who uses it."""
