"""Separation itself: knows backends and model specs, never a network."""
