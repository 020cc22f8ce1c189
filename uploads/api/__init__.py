"""For programs: one router a noun. Each route parses, calls one function below, and answers."""
