"""Six model families at tiny random size: their configurations, tokenizers and chat templates, each in the family's own form.

Made on the spot by `make(family, folder)`; used by tests/integration/trainer/families and tests/bench/families. The weights are random, so
they show that a family's names, shapes, tokens and turns go through the whole loop, not that it learns.
"""
