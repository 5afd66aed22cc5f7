"""Training sets, losses, trainer, inference, model store."""
