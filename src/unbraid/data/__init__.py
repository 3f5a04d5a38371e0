"""What is separated, scored and trained on: songs with their true sources, as data sets lay them out."""
