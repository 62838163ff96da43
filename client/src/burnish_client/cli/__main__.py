"""`python -m burnish_client.cli`: the burnish command."""

from burnish_client.cli import main

main()
