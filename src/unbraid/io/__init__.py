"""Disk and decoders: the only place where bytes of audio are touched."""
