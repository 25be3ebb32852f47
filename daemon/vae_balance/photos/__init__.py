"""Photos in files and in memory; knows no networks."""
