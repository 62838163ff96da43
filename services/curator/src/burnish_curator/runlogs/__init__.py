"""Run logs: upload, listing, rows, diagnosis. Called over HTTP by the client, and by reviews and datasets, which open a run log.
How lines are read and clustered is core's (`burnish.runlogs`, `burnish.diagnosis`). Corrections belong to reviews.
"""
