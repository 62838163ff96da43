"""Names of clusters: by the phrases that a cluster says more than others, by the form of answers without words, and what a model proposes.

Called by `finding` and `edits`; the client builds its requests to a model by `proposals`. Nothing here asks anybody.
"""
