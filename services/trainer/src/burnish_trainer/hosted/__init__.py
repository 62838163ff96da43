"""The process that has a provider train one job: `python -m burnish_trainer.hosted.main <attempt folder>`.

steps.py decides what comes next from the job's record alone, run.py does it, record.py keeps it, and providers/ has a file for each
provider. Started by executors/local.py. No torch, no queue and no scheduler belong here.
"""
