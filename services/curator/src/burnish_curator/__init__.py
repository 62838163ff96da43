"""The curator: run logs in, reviewed datasets out, over HTTP. Called by the client and by browsers (the review page).

A folder is a noun: endpoints.py speaks HTTP, repository.py reads and writes, service.py is there if several of them work together.
Rules that the client shares belong to core; training and serving belong to other services.
"""
