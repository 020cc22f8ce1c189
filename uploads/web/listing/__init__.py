"""The list of files on the page: its rows, what has changed, how often it asks."""
