"""Point-spread functions: torch, batched, differentiable, on any device."""
