"""The burnish command, the Python SDK, the eval client and the embedded stack.

SDK: `curator_client.CuratorClient`, `trainer_client.TrainerClient`, `inference_client.InferenceClient`; where they
connect to: `config.ClientSettings`. Must not import a service.
"""
