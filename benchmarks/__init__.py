"""What is fast, measured: each figure as a ratio against a peer or a limit in the same run."""
