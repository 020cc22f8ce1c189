"""How the web server is kept from slow and broken clients: idle time-out, lingering close, request log."""
