"""Dataset versions: build, listing, export."""
