"""`manage.py demo`: sends files through the public API of an instance of its own, and checks what becomes of them."""
