"""Commands about training: submit, search and compare jobs, look after them, and list the adapters they made. The rules of `commands` hold."""
