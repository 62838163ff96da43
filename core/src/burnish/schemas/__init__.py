"""The data that crosses rooms, one file a noun. Pydantic v2; frozen; unknown fields refused except where a docstring says they are kept."""
