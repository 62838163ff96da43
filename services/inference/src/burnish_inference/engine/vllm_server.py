"""vLLM's API server without the imports of its other commands: healthy about 5 s sooner than by `vllm serve` (ADR 3).

Takes the flags of `vllm serve`, the model as --model. Its processes import this module anew: keep the top level empty.
"""

from __future__ import annotations


def main() -> None:
    from vllm.entrypoints.launchers.api_server.entry import main as serve

    serve()


if __name__ == "__main__":
    main()
