"""Erasing the text of people: which texts stand in erased lines alone, how files are rewritten without them, and how a bucket is searched.

Called by the curator's erasures (docs/adr/0023-lineage-and-erasure.md). Decides nothing about what is erased, and deletes nothing.
"""
