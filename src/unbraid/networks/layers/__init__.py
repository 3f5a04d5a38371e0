"""Bricks that two or more networks use with the same maths and the same names."""
