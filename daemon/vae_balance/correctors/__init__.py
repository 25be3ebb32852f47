"""Who learns; a corrector sees proxies, never files, and gives a look."""
