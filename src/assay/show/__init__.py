"""Show: the facts of a comparison, rendered for a terminal, a browser, a notebook or another program."""
