import email
import email.policy
import json

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientError
from st2reactor.sensor.base import PollingSensor

TIMEOUT = SocketTimeout(connect=10, read=30)
BATCH = 20  # messages per fetch and commit
MAX_BYTES = 1_000_000  # of a message that are fetched
MAX_TEXT = 10_000  # characters


class MailboxSensor(PollingSensor):
    def setup(self):
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)

    def poll(self):
        try:
            server = IMAPClient(self.config["host"], self.config["port"], ssl=self.config["tls"], timeout=TIMEOUT)
            try:
                server.login(self.config["username"], self.config["password"])
                self._report(server)
                server.logout()
            finally:
                server.shutdown()
        except (IMAPClientError, OSError) as error:
            self._logger.warning("%s: %s; the next poll tries again", self.config["host"], error)

    def _report(self, server):
        # Read-only, and with PEEK: the messages stay unread.
        validity = server.select_folder(self.config["folder"], readonly=True)[b"UIDVALIDITY"]
        cursor = self.sensor_service.get_value("cursor")
        known = json.loads(cursor) if cursor else None
        if known is None or known[0] != validity:
            # At the first poll, and when the server has numbered its messages again: begin after the last one.
            last = max(server.search("ALL"), default=0)
            self.sensor_service.compare_and_set("cursor", cursor, json.dumps([validity, last]))
            return
        # "n:*" always matches the last message, even if its number is smaller than n.
        new = sorted(uid for uid in server.search(["UID", f"{known[1] + 1}:*"]) if uid > known[1])
        for batch in (new[start : start + BATCH] for start in range(0, len(new), BATCH)):
            found = server.fetch(batch, [f"BODY.PEEK[]<0.{MAX_BYTES}>"])
            mails = [(uid, found[uid][b"BODY[]<0>"]) for uid in batch if uid in found]
            events = [("mailbox.mail", payload(uid, raw)) for uid, raw in mails]
            following = json.dumps([validity, batch[-1]])
            if not self.sensor_service.dispatch_and_set(events, "cursor", following, expected=cursor):
                return
            cursor = following

    def cleanup(self):
        pass

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass


def payload(uid, raw):
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    body = mail.get_body(("plain",))
    try:
        text = body.get_content() if body else ""
    except LookupError:  # an unknown character set
        text = body.get_payload(decode=True).decode("ascii", "replace")
    headers = {name: str(mail[name] or "") for name in ("from", "to", "subject", "date")}
    files = [part.get_filename() or "" for part in mail.iter_attachments()]
    return {
        "uid": uid,
        "message_id": str(mail["message-id"] or ""),
        **headers,
        "text": text[:MAX_TEXT],
        "attachments": files,
    }
