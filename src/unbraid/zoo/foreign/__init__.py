"""Descriptions that other programs write of their networks, as our configurations."""
