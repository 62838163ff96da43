"""The files of a dataset version: sealed with their manifest and card, and exported for other tools. Called by the build, the curator and `burnish dataset export`."""
