"""Django's SQLite backend with a pool, for web workers: name `uploads.sqlite` as ENGINE."""
