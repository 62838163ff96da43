"""What a training job is: its spec, methods, hyperparameters and states, sweeps and comparisons of jobs, and what a provider is told."""
