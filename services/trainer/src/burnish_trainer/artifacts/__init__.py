"""What jobs leave in the object store: checkpoints, adapter versions with their model card, reference log-probabilities.

Files, digests and manifests alone: no torch, no queue. The worker writes them; rpc, the scheduler and preflight read them.
"""
