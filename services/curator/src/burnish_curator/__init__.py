"""The curator: run logs in, reviewed datasets out, over HTTP. Talks to the object store and its own database only."""
