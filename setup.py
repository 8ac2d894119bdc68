"""Packaging: `pip install .` installs the commands."""

import os
import re
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.build_scripts import build_scripts
except ImportError:
    from distutils.command.build_scripts import build_scripts

HERE = Path(__file__).parent

SHARE = "share/st2sensor"
"""Where the bundled packs, sample configurations, units and guides are installed: st2sensor.system.share finds them."""

PAPERS = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "requirements.txt"]
"""Files that the guides link to. All of them are then in the source distribution as well."""


PROGRAMS = {
    "st2sensorcontainer": "st2sensorcontainer",
    "st2ctl": "st2ctl",
    "st2-register-content": "st2_register_content",
    "st2-generate-symmetric-crypto-key": "st2_generate_symmetric_crypto_key",
    "st2sensor": "st2sensor",
}
"""Modules of the programs in st2sensor.cli, by the programs' names."""

PROGRAM = """\
#!python
# Ctrl-C must end the program without a traceback, from its first moment on: importing the module signal takes too long.
import _signal

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import sys

from st2sensor.cli.{module} import main

sys.exit(main())
"""


def shared():
    """Return what is installed into SHARE, by folder."""
    folders = {SHARE: [name for name in PAPERS if (HERE / name).is_file()]}
    for path in sorted(file for name in ("conf", "docs", "packs") for file in (HERE / name).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            place = path.relative_to(HERE)
            folders.setdefault(f"{SHARE}/{place.parent}", []).append(str(place))
    return list(folders.items())


class BuildPy(build_py):
    """Also makes the man pages, from the help of the commands. They are installed with the other files."""

    def run(self):
        super().run()
        sys.path.insert(0, str(HERE))
        from st2sensor.cli import manual  # noqa: PLC0415 (only a build needs it, and with it click)

        folder = Path(self.get_finalized_command("build").build_temp) / "man1"
        pages = [os.path.relpath(path) for path in manual.write(folder)]
        self.distribution.data_files.append(("share/man/man1", pages))


class BuildScripts(build_scripts):
    """Writes the programs. Those that pip makes from entry points import other modules before ours."""

    def get_source_files(self):
        return []

    def run(self):
        folder = Path(self.build_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for name, module in PROGRAMS.items():
            (folder / name).write_text(PROGRAM.format(module=module))
            (folder / name).chmod(0o755)


setup(
    name="st2sensor",
    version=re.search(r'__version__ = "(.+)"', (HERE / "st2sensor/__init__.py").read_text()).group(1),
    description="Runs StackStorm sensors: no trigger is lost, no sensor stops quietly",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=[
        "stackstorm",
        "sensors",
        "events",
        "triggers",
        "automation",
        "supervision",
        "amqp",
        "rabbitmq",
        "mongodb",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: No Input/Output (Daemon)",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: System :: Distributed Computing",
        "Topic :: System :: Monitoring",
        "Topic :: System :: Systems Administration",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["st2sensor", "st2sensor.*"]),
    package_data={
        "st2sensor": ["py.typed", "compat/**/*.py"],
        "st2sensor.core_pack": ["*.yaml", "sensors/*"],
        "st2sensor.status": ["page/*"],
        "st2sensor.cli": ["templates/**/*"],
        "st2sensor.packs": ["core_triggers.yaml", "schemas/*.json"],
    },
    data_files=shared(),
    scripts=list(PROGRAMS),
    cmdclass={"build_py": BuildPy, "build_scripts": BuildScripts},
    install_requires=(HERE / "requirements.txt").read_text().split(),
    entry_points={
        # By the module's own name, so that `-p st2sensor.testing.plugin` does not register it a second time.
        "pytest11": ["st2sensor.testing.plugin = st2sensor.testing.plugin"],
    },
)
