"""vLLM as a supervised child process: its command, its guard, and the supervisor that restarts it."""
