"""Models on disk: which there are, whether their files are whole, fetching; knows no networks."""
