"""What curator and inference ask of every HTTP request before a route sees it: the token, a bounded body, a connection that says in time what it wants.

Plain ASGI, so it needs no framework; the services say how a refusal looks. What is measured and logged of a request is in
`burnish.telemetry.requests`, which is around all of this. Routes, bodies and their schemas belong to the services.
"""
