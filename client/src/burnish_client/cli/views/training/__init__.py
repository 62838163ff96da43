"""What the commands of `commands/training` print: jobs, their progress and metrics, sweeps."""
