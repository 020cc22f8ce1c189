"""Django's SQLite backend with writers that take turns and a pool for web workers: `uploads.db.sqlite` as ENGINE."""
