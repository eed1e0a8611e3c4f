"""The fast route's eigenvectors in plain PyTorch, for devices without compiled kernels (docs/method.md, On a GPU)."""
