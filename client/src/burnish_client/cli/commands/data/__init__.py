"""Commands that talk to the curator: run logs, diagnosis, review, datasets, benchmarks. The rules of `commands` hold."""
