"""What this machine's devices are and can do, found without torch, and the backend that follows from it.

Preflight, the executors and the worker must agree on these, so these have a folder of their own. Torch's own view of a
device is worker/torch_device.py's; which devices are free is scheduler/devices.py's.
"""
