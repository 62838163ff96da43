"""What people review of a run log: its items, their order, and review files read back. The curator, `burnish review` and the dataset build call."""
