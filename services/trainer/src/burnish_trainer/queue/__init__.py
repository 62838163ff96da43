"""The durable queue: jobs, their events and past runs, in SQLite or Postgres. The only code that reads and writes its tables.

Called by rpc and scheduler, and by main and metrics. No decision about a job belongs here, only what one transaction must
check: who holds the job, and which moves between states are legal.
"""
