"""What jobs leave in the object store: checkpoints, adapter versions with their model card, reference log-probabilities.

Files, digests and manifests alone: no torch, no queue. The worker writes them; rpc, the scheduler and preflight read them.
"""

MORE_ROOM = "point BURNISH_TRAINER_WORK_DIR at a larger disk"  # what else helps if the disk is full
