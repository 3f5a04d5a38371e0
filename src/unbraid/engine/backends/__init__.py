"""What runs a network: one protocol, one file a runtime."""
