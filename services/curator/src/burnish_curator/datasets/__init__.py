"""Dataset versions: build, listing, export. Called over HTTP by the client; the trainer reads versions from the object store.
The rules of a dataset are core's (`burnish.curation`). Nothing about training belongs here.
"""
