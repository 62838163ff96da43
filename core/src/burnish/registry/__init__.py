"""The registry: which version a name answers with, what a promotion needs, what holds an object, and how one is removed.

Called by the inference service (adapters, aliases) and the curator (run logs, datasets, benchmarks, evals). `references`,
`promotion` and `holding` are pure; `aliases` and `removal` read and write the object store and block. No HTTP here.
"""
