"""From counted cells to percentages with limits, and what in them a person should look at."""
