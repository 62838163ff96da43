"""Vectors of texts by meaning, without a network. Called by clustering and by the gates of a dataset; what is made of them does not belong here."""
