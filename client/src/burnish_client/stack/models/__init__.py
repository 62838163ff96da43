"""Base models of the embedded stack: those that were added by name, their download, their report. Called by `burnish model` and `up`."""
