"""Packaging: `pip install .` installs the commands."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

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
    install_requires=(HERE / "requirements.txt").read_text().split(),
    entry_points={
        "console_scripts": [
            "st2sensorcontainer = st2sensor.cli.st2sensorcontainer:main",
            "st2ctl = st2sensor.cli.st2ctl:main",
            "st2-register-content = st2sensor.cli.st2_register_content:main",
            "st2-generate-symmetric-crypto-key = st2sensor.cli.st2_generate_symmetric_crypto_key:main",
            "st2sensor = st2sensor.cli.st2sensor:main",
        ],
        # By the module's own name, so that `-p st2sensor.testing.plugin` does not register it a second time.
        "pytest11": ["st2sensor.testing.plugin = st2sensor.testing.plugin"],
    },
)
