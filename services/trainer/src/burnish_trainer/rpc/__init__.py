"""The gRPC server: translates calls to and from the queue and preflight, and says who may call and what went wrong. Also the
metrics page and the image's health check. Built by main.py. No decision about a running job and no torch belong here.
"""
