"""What other programs' configuration files and weights say of a network, one architecture a file."""
