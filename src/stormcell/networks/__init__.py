"""Neural network architectures; they know nothing of training or files."""
