"""Separation without training: what can be heard without having learnt any music. One method a file.

They are networks without weights, so that the engine, the command line and the docs treat them like all
others. `oracles` knows the true sources: no separator, but the most that masks can reach.
"""
