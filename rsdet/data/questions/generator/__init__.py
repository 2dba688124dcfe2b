"""Questions and answers from labels: what is there, how many, how much, next to what, and where."""
