"""The modules of the standard library that sensors import most. A zygote imports them, so that its forks share them.

A module is listed if it is among those that sensor files of public packs import directly, or those that most of the
libraries load which they import: requests, flask, six, boto3, docker, github, jira, kafka, paho.mqtt, pika. Of both,
only modules that do nothing when they are imported but define things: none that starts a thread, opens a file, reads
the environment, or remembers the interpreter, which a fork changes. That excludes asyncio, concurrent.futures,
multiprocessing, sysconfig and zoneinfo.
"""

from __future__ import annotations

USUAL = (
    *("base64", "calendar", "collections", "copy", "csv", "datetime", "decimal", "hashlib", "hmac", "json", "logging"),
    *("operator", "pickle", "pprint", "queue", "random", "re", "shutil", "socket", "ssl", "subprocess", "tempfile"),
    *("threading", "time", "traceback", "uuid", "zipfile"),
    *("email.mime.text", "email.parser", "email.utils", "encodings.idna", "html", "http.client", "http.cookiejar"),
    *("http.cookies", "importlib.metadata", "ipaddress", "logging.handlers", "mimetypes", "unicodedata"),
    *("urllib.parse", "urllib.request", "xml.etree.ElementTree"),
)
