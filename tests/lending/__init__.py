"""The real inference service before a program in vLLM's place that holds its card as vLLM does. Used by the lease's end-to-end test and gpu_check."""
