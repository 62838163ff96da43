"""One file a format of traces: what its records look like, and the neutral pieces (`burnish.runlogs.traces.pieces`) that they hold.

A reader has `recognise(record)`, which gives the reason why a record is of its format, and `read(record)`, which gives pieces. It imports
no other reader; `registry` has them all. Called by `burnish.runlogs.traces.importing`.
"""
