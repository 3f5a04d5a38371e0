"""Models scored on songs with true stems, and what the field has published beside them."""
