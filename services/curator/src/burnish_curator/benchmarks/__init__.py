"""Benchmarks: import, listing, questions. Called over HTTP by the client, and by datasets for the questions of a guard.
The rules of a benchmark are core's (`burnish.curation.benchmarks`). Answers and grades do not belong here.
"""
