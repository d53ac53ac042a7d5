"""The sentences of a result by name, the same on a terminal and on a page."""
