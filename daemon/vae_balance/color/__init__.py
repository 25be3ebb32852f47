"""Color arithmetic on arrays; knows no files."""
