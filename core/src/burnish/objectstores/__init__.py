"""Object stores: the implementations of burnish.ports.ObjectStore, and the SeaweedFS server that Burnish ships with.

`s3` speaks to any S3 endpoint, `memory` stands in for it in tests; tests/contract holds both to the port's text.
"""
