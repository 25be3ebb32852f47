"""Who learns; a corrector sees proxies, never files."""
