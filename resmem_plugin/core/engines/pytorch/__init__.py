"""PyTorch on a CPU, on CUDA and on MPS."""
