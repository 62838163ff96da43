"""The worker: the process that trains one job, started by an executor. The only room that imports torch.

main.py is the process, context.py what a method is given; methods/ has a file a method, backends/ what loads the model,
kernels/ faster steps, loop/ what every method's run shares. It knows no queue and no scheduler.
"""
