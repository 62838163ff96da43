"""What the commands of `commands/data` print: imports, diagnoses and clusters, datasets, lineage, erasure."""
