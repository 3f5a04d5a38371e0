"""What other programs say of their models, as our configurations."""
