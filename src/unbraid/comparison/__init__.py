"""Several separations of one song, side by side: what belongs together, and the report about it."""
