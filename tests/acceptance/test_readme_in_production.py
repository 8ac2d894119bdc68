"""The README's installation on a host, followed to the letter by root, and used as the user st2.

It happens in a mount namespace of its own: /etc is a copy, and /opt, /var/lib, /var/log and /root are empty. systemd is
not running there, so a stand-in for systemctl runs the unit's command as the unit says.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.plugins.patience import AT_LAST
from tests.support.containerfile import PIP
from tests.support.workspace import ROOT, Workspace

TOOLS = ("unshare", "systemd-sysusers", "systemd-tmpfiles", "runuser", "setpriv")

OWN_NAMESPACE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")

SYSTEMCTL = """\
#!{python}
# Stands in for systemctl: `enable --now UNIT` runs the unit's command as its user, and waits until it is up.
import os, pwd, shlex, subprocess, sys, time
if sys.argv[1:] == ["daemon-reload"]:
    sys.exit(0)
verb, *_, unit = sys.argv[1:]
values = dict(
    line.split("=", 1) for line in open(f"/etc/systemd/system/{{unit}}.service") if "=" in line and line[0].isupper()
)
user = pwd.getpwnam(values["User"].strip())
name, _, arguments = values["Environment"].strip().strip('"').partition("=")
command = shlex.split(values["ExecStart"].replace(f"${{name}}", arguments))
if verb == "enable":
    log = open("/tmp/unit.log", "a")
    os.umask(int(values["UMask"], 8))
    subprocess.Popen(command, user=user.pw_uid, group=user.pw_gid, extra_groups=[], start_new_session=True, cwd="/",
                     stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={{"PATH": os.defpath}})
    for _ in range(600):
        if subprocess.run(["st2sensor", "list"], capture_output=True).returncode == 0:
            break
        time.sleep(0.1)
elif verb == "stop":
    subprocess.run(["st2ctl", "stop"], check=True)
"""

NAMESPACE = """\
set -eu
mount --make-rprivate /
mkdir -p {work}/etc {work}/python
cp -a /etc/. {work}/etc
rm -rf {work}/etc/st2
mount --rbind {base} {work}/python
mount --bind {work}/etc /etc
for folder in /opt /var/lib /var/log; do mount -t tmpfs tmpfs $folder; done
mkdir -p /opt/python /opt/packages /opt/source /opt/bin
mount --rbind {purelib} /opt/packages
mount --rbind {source} /opt/source
cp {systemctl} /opt/bin/systemctl
if [ {hidden} = yes ]; then
    mount -t tmpfs -o mode=755 tmpfs /root
    mkdir -p {base}
    mount --rbind {work}/python {base}
fi
mount -t tmpfs -o mode=1777 tmpfs /tmp
export HOME=/root PATH=/opt/bin:{base}/bin:/usr/bin:/usr/sbin:/bin:/sbin
cd /opt/source
set -x
"""

AS_ST2 = """\
as_st2() { runuser -u st2 -- "$@"; }
check() { "$@" || { echo "FAILED: $*"; cat /tmp/unit.log; exit 1; }; }
until_true() { for _ in $(seq 300); do "$@" > /tmp/out 2>&1 && return; sleep 0.1; done; cat /tmp/out; check false; }
none_of_root() { test -z "$(find /var/lib/st2sensor -user root)" || { ls -lR /var/lib/st2sensor; check false; }; }

check test "$(stat -c '%a %U %G' /etc/st2/st2.conf)" = "640 root st2"
until_true sh -c 'st2sensor list | grep -E "examples.SampleSensor +running"'
# Nobody else can read the passwords, or disable a sensor.
if setpriv --reuid 65534 --regid 65534 --clear-groups st2sensor disable examples.SampleSensor 2> /tmp/refused; then
    check false
fi
check grep "/etc/st2/st2.conf: this user may not read it" /tmp/refused
check setpriv --reuid 65534 --regid 65534 --clear-groups st2sensor validate /opt/stackstorm/packs/examples
for file in $(sed -n 's|^Documentation=file://||p' /etc/systemd/system/st2sensorcontainer.service); do
    check test -r "$file"
done

# What the guides show, as the user st2.
check as_st2 st2sensor show examples.SampleSensor
check as_st2 st2sensor logs examples.SampleSensor
check as_st2 st2sensor top --once
check as_st2 st2sensor rules
check as_st2 st2sensor key set answer 42
check as_st2 st2sensor key get answer
check as_st2 st2sensor dead-letters list
check as_st2 st2sensor disable examples.CursorSensor
check as_st2 st2sensor enable examples.CursorSensor
check as_st2 st2sensor restart examples.CursorSensor
check as_st2 st2ctl reload --register-all
check as_st2 st2ctl status
check st2-generate-symmetric-crypto-key --key-path /etc/st2/keys/datastore_key.json
check as_st2 st2sensor key set --encrypt secret 42

# Root's commands leave nothing that the unit cannot use.
check st2sensor dead-letters list
none_of_root
check st2ctl stop
check st2ctl start
check test "$(stat -c %U /proc/$(st2ctl status | grep -o '[0-9]*$'))" = st2
none_of_root
check st2ctl stop
timeout 5 st2sensor run examples.SampleSensor || true
none_of_root
check systemctl enable --now st2sensorcontainer
check as_st2 st2sensor list

# A host without packs.
mv /opt/stackstorm/packs/examples /opt/stackstorm/examples
st2ctl reload --register-all 2>&1 | grep "no packs in /opt/stackstorm/packs" || check false
check st2ctl stop
echo FOLLOWED
"""


def lines() -> list[str]:
    """Return the commands of the README's installation."""
    section = (ROOT / "README.md").read_text().partition("## Install it on a host")[2].partition("\n## ")[0]
    return re.findall(r"^    (\S.*)$", section, re.MULTILINE)


def script(served: Workspace) -> str:
    """Return the README's commands, with what it says to do in between."""
    (venv, *rest) = lines()
    configured = (
        f"sed -i 's|^connection = .*|connection = {served.database}|; s|^url = amqp.*|url = {served.messaging}|; "
        f"s|^# db_name = .*|db_name = {served.name}|; s|^# prefix = .*|prefix = {served.prefix}|' /etc/st2/st2.conf"
    )
    (copy,) = [index for index, line in enumerate(rest) if line.startswith("cp -r packs")]
    site = "/opt/stackstorm/st2sensor/lib/python3.*/site-packages"
    return "\n".join(
        [venv, f"echo /opt/packages > $(echo {site})/p.pth", *rest[:copy], configured, *rest[copy:], AS_ST2]
    )


@pytest.mark.soak(minutes=5)
def test_the_readme_followed_to_the_letter_ends_with_a_running_sensor(served: Workspace) -> None:
    if os.getuid() != 0 or not all(map(shutil.which, TOOLS)):
        pytest.skip(f"needs root, and {', '.join(TOOLS)}")
    work = served.folder / "work"
    source = work / "source"
    work.mkdir()
    for name in ("st2sensor", "conf", "docs", "packs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source)
    systemctl = work / "systemctl"
    systemctl.write_text(SYSTEMCTL.format(python=f"{sys.base_prefix}/bin/python3"))
    systemctl.chmod(0o755)
    prepared = NAMESPACE.format(
        work=work,
        base=sys.base_prefix,
        purelib=sysconfig.get_path("purelib"),
        source=source,
        systemctl=systemctl,
        hidden="yes" if Path(sys.base_prefix).is_relative_to("/root") else "no",
    )
    tried = subprocess.run([*OWN_NAMESPACE, "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no namespace of its own here: {tried.stderr.decode().strip()}")
    done = subprocess.run(
        [*OWN_NAMESPACE, "bash", "-euc", prepared + script(served)],
        env={**PIP, "LANG": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=AT_LAST,
    )
    assert done.stdout.endswith("FOLLOWED\n"), done.stdout[-6000:]
    assert done.returncode == 0
