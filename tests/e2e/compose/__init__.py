"""A package, so that its stack lasts as long as its tests and no longer."""
