"""Interfaces of other tools over this library: a script of theirs runs with one changed import."""
