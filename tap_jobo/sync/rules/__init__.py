"""The rules of an archive, as pure functions.

An archive is a log of pages. Nobody shares a position: each warehouse folds the pages that it loads
into its own list of what it has read (`fold`), and plans from that (`plan`).
"""
