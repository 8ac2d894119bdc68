"""`st2sensor key`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.support.control_peer import CONFIG, run, said


def test_keys_that_were_listed_can_be_loaded(config_file: Path) -> None:
    with tempfile.TemporaryDirectory(dir=config_file.parent) as folder:
        other = Path(folder) / "st2.conf"
        other.write_text(CONFIG)
        file = Path(folder) / "keys.json"
        settings = ["key", "set", "--ttl", "3600"]
        said(run(config_file, *settings, "p.S:a", "1"))
        said(run(config_file, "key", "set", "--scope", "user", "--user", "ann", "b", "2"))
        listed = said(run(config_file, "key", "list", "--scope", "all", "--json"))
        file.write_text(listed)
        assert said(run(other, "key", "load", str(file))) == "2 keys are stored\n"
        assert said(run(other, "key", "list", "--scope", "all", "--json")) == listed
        assert json.loads(listed)[1]["name"] == "ann:b"
        for item, problem in (
            ({"value": "********", "secret": True}, "--decrypt"),
            ({"expire_timestamp": "soon"}, "expire_timestamp of k: 'soon' is not a time"),
            ({"expire_timestamp": "2100-01-01T00:00:00Z", "ttl": 5}, "both ttl and expire_timestamp"),
        ):
            file.write_text(json.dumps([{"name": "k", "value": "v", **item}]))
            assert problem in str(run(other, "key", "load", str(file)).exception)
        file.write_text(json.dumps([{"name": "k", "value": "v", "expire_timestamp": "2000-01-01T00:00:00Z"}]))
        done = run(other, "key", "load", str(file))
        assert (done.stdout, done.stderr) == ("0 keys are stored\n", "1 key skipped: expired\n")
