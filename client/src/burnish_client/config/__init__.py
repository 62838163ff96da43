"""Where addresses and tokens come from: BURNISH_* variables, the embedded stack's stack.json, or the file of `burnish login`.

Every room of the client asks `endpoints.ClientSettings`. Nothing here connects to a service, prints, or imports another room.
"""
