"""What a judge is asked, how its reply is read, and who it is.

Called by the eval client, which asks it. Whether a judge may be believed is a matter of its calibration, in `statistics/`.
"""
