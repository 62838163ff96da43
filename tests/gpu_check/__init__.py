"""`make gpu-check`: what the trainer does on this machine's GPU, measured; `make gpu-check-bundle`: the same for a machine without network."""
