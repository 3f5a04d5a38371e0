"""Numbers for separated audio: no file access."""
