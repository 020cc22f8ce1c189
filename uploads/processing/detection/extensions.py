"""What file names promise, and which promises a content breaks."""

from __future__ import annotations

# Extension -> the content type a name alone would promise. Only names whose promise we can check.
BY_NAME: dict[str, str] = {
    **dict.fromkeys(("jpg", "jpeg", "jpe", "jfif"), "image/jpeg"),
    "png": "image/png", "gif": "image/gif", "webp": "image/webp", "bmp": "image/bmp", "ico": "image/x-icon",
    "tif": "image/tiff", "tiff": "image/tiff", "heic": "image/heic", "heif": "image/heif",
    "avif": "image/avif", "psd": "image/vnd.adobe.photoshop",
    "pdf": "application/pdf",
    "csv": "text/csv", "tsv": "text/tab-separated-values", "tab": "text/tab-separated-values",
    "json": "application/json", "geojson": "application/json", "ipynb": "application/json",
    "ndjson": "application/x-ndjson", "jsonl": "application/x-ndjson",
    **dict.fromkeys(("txt", "log", "md", "rst", "ini", "cfg", "conf", "toml", "yaml", "yml"), "text/plain"),
    **dict.fromkeys(("py", "js", "css", "sh", "sql", "java", "c", "h", "cpp", "rs", "go"), "text/plain"),
    "htm": "text/html", "html": "text/html", "xml": "application/xml", "svg": "image/svg+xml",
    "rtf": "application/rtf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xlsm": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "epub": "application/epub+zip",
    "jar": "application/java-archive", "apk": "application/vnd.android.package-archive",
    "xls": "application/vnd.ms-excel", "doc": "application/msword", "ppt": "application/vnd.ms-powerpoint",
    "msg": "application/vnd.ms-outlook",
    "parquet": "application/vnd.apache.parquet",
    "zip": "application/zip", "7z": "application/x-7z-compressed", "rar": "application/x-rar",
    "tar": "application/x-tar",
    **dict.fromkeys(("gz", "tgz"), "application/gzip"),
    **dict.fromkeys(("bz2", "tbz", "tbz2"), "application/x-bzip2"),
    **dict.fromkeys(("xz", "txz"), "application/x-xz"), "zst": "application/zstd",
    "mp3": "audio/mpeg", "wav": "audio/x-wav", "flac": "audio/flac", "ogg": "audio/ogg",
    "m4a": "audio/mp4", "mp4": "video/mp4", "m4v": "video/mp4", "mov": "video/quicktime",
    "webm": "video/webm", "mkv": "video/x-matroska", "avi": "video/x-msvideo",
    "exe": "application/vnd.microsoft.portable-executable",
    "dll": "application/vnd.microsoft.portable-executable",
    "sqlite": "application/vnd.sqlite3", "sqlite3": "application/vnd.sqlite3",
}  # fmt: skip

_TEXTS = {"application/json", "application/x-ndjson", "application/xml", "image/svg+xml"}
_ZIPPED = ("application/vnd.openxmlformats-", "application/vnd.oasis.", "application/epub+zip",
           "application/java-archive", "application/vnd.android.package-archive")  # fmt: skip
_ARCHIVES = {"application/x-tar", "application/gzip", "application/x-bzip2", "application/x-xz",
             "application/zstd", "application/x-7z-compressed", "application/x-rar"}  # fmt: skip
_OLD_OFFICE = {"application/vnd.ms-excel", "application/msword", "application/vnd.ms-powerpoint",
               "application/vnd.ms-outlook", "application/x-ole-storage",
               "application/encrypted"}  # fmt: skip
# Families which nobody tells apart by name: a docx is a zip and, when it is locked, an OLE file.
_FRIENDS = ({"zip", "archive"}, {"zip", "ole"})


def extension(filename: str) -> str:
    """The lower-case extension without its dot, "" where there is none."""
    stem, dot, ending = filename.rpartition(".")
    return ending.lower() if dot and stem else ""


def family(content_type: str) -> str:
    """The family of a content type: two types of one family do not contradict each other."""
    if content_type in _TEXTS or content_type.startswith("text/"):
        return "text"
    if content_type == "application/zip" or content_type.startswith(_ZIPPED):
        return "zip"
    if content_type in _ARCHIVES:
        return "archive"
    if content_type in _OLD_OFFICE:
        return "ole"
    first = content_type.partition("/")[0]
    if first in {"audio", "video"}:
        return "media"
    return "image" if first == "image" else content_type


def conflict(filename: str, content_type: str) -> bool:
    """Whether a name promises one family of files and the content is of another."""
    promised = BY_NAME.get(extension(filename))
    if promised is None or content_type == "application/x-empty":
        return False
    families = {family(promised), family(content_type)}
    return len(families) > 1 and families not in _FRIENDS
