"""What people look at: `report.html` and `postmortem.md` of one eval. Pure: strings out of a verdict and its rows.

Model output is hostile input: everything is escaped, and the page allows no script and no request at all. Every command needs `escaping`, and only some
the report, so nothing is imported here.
"""
