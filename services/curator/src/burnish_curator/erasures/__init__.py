"""Erasures: of a user's lines, or of single ones, everywhere in the bucket and in the database. Called over HTTP, and when the curator starts.

How texts are found and files rewritten is core's (`burnish.erasure`). The order of the steps is what makes it survive a death: docs/adr/0023-lineage-and-erasure.md.
"""
