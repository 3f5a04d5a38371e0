"""Pure functions and small modules on tensors: no input or output, no networks."""
