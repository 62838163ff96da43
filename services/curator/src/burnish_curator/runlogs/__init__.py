"""Run logs: upload, listing, rows, diagnosis."""
