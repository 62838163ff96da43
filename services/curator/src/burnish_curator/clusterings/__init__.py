"""Clusterings: made in a process of their own, stored, edited and removed. Called over HTTP by the client, and by run logs, whose labels they decide."""
