"""What separating costs on this machine: time, memory, and what a quicker way does to the answer."""
