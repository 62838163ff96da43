"""Finds failures that repeat where nobody labelled them: signatures, then embeddings, nearest neighbours and Louvain.

Pure: a run log comes in as a reader, a clustering goes out. Called by the curator, in a process of its own. scikit-network and wordllama are
the extra `clusters` of core, imported when first used.
"""
