"""What keeps a row out of a dataset version, or masks it: one file a gate. Called by `burnish.curation.build` alone.

A gate says which questions, and why; what becomes of them is the spec's choice. docs/adr/0022-dataset-gates.md has their order.
"""
