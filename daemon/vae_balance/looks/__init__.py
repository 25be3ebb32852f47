"""What was learned, and how it is applied; knows no photos, files and models."""
