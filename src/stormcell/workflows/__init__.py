"""One verb per file; the only floor that joins files with algorithms."""
