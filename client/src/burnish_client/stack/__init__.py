"""The embedded stack: object store, curator, trainer and inference on loopback under one supervisor process.

`control` is what the CLI, the demo and tests call (Launch, status, down); `supervisor` is the process it starts; `parts`
says what each part is. Linux only: process groups, /proc and prctl. Nothing here prints or calls a service's API.
"""
