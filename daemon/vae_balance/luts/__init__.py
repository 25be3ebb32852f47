"""LUT files, a format each; knows no networks."""
