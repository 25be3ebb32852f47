"""Photos in files and in memory; knows no LUTs and no networks."""
