"""A fake of an IMAP server: one mailbox, and the commands that a client needs to read it."""

from __future__ import annotations

import re
import socketserver
import threading


class Imap(socketserver.ThreadingTCPServer):
    """Serves `mails` on loopback, numbered from 1."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, mails: list[bytes]) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.mails = mails
        self.validity = 7
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Connection(socketserver.StreamRequestHandler):
    server: Imap

    def handle(self) -> None:
        self._say(b"* OK [CAPABILITY IMAP4rev1] ready")
        for line in self.rfile:
            tag, _, rest = line.strip().partition(b" ")
            self._answer(rest)
            self._say(tag + b" OK done")
            if rest == b"LOGOUT":
                return

    def _say(self, line: bytes) -> None:
        self.wfile.write(line + b"\r\n")

    def _answer(self, command: bytes) -> None:
        mails = self.server.mails
        if command == b"CAPABILITY":
            self._say(b"* CAPABILITY IMAP4rev1")
        elif command.startswith(b"EXAMINE"):
            self._say(b"* %d EXISTS" % len(mails))
            self._say(b"* OK [UIDVALIDITY %d] numbered" % self.server.validity)
        elif command.startswith(b"UID SEARCH"):
            found = re.search(rb"UID (\d+):\*", command)
            first = min(int(found[1]), len(mails)) if found else 1
            numbers = range(first, len(mails) + 1) if mails else range(0)
            self._say(b"* SEARCH " + b" ".join(b"%d" % number for number in numbers))
        elif command.startswith(b"UID FETCH"):
            for number in re.findall(rb"\d+", command.split()[2]):
                mail = mails[int(number) - 1]
                self._say(b"* %s FETCH (UID %s BODY[]<0> {%d}" % (number, number, len(mail)))
                self._say(mail + b")")
