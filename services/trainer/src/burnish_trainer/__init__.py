"""The trainer: durable LoRA training jobs over gRPC.

`main` answers RPCs and runs the engine, and never imports torch; `worker` is the process that trains one job.
"""
