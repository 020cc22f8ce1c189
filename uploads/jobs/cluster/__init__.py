"""What keeps processes alive: supervisor, maintenance, sentinel; what a node is and whether it hangs."""
