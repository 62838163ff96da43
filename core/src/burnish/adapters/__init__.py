"""Does an adapter fit a base model? Its files against the base's, without torch. Needs burnish-core[adapters].

Called by the inference service before vLLM sees an adapter, and by the trainer before it publishes weights that another trained.
"""
