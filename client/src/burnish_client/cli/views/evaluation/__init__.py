"""What the commands of `commands/evaluation` print: answers as they come, verdicts, aliases, cheap attempts."""
