# Everything is installed into .venv of this checkout.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

# Tests at a time: most of them wait most of the time.
WORKERS ?= 4
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --max-worker-restart 0

.PHONY: install demo check test soak lint types unit tools docs bench packs rabbitmq chromium spin iproute2 wrk

install: .venv/installed

demo: .venv/installed
	@$(BIN)/st2sensor --config-file conf/st2.dev.conf demo

# Within a minute: whether a line broke something.
check: .venv/tested
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target unit lint types

# Within a quarter of an hour: whether all is well. DURATIONS=1 prints where the time goes, TEST_PATIENCE=3 makes deadlines longer.
test: tools
	EXAMPLES=0.3 $(PYTEST) --dist loadfile --no-loadscope-reorder

# The cases that take long. MINUTES=15 stops after that long, STORM_MINUTES=10 makes storms longer than 2 minutes.
soak: tools
	$(PYTEST) --dist load --maxschedchunk 1 -m soak $(if $(MINUTES),--soak-minutes $(MINUTES))

unit: .venv/tested
	EXAMPLES=0.1 $(BIN)/pytest --quiet --numprocesses 2 --dist worksteal tests/unit tests/fleet tests/real_packs tests/test_layers.py

lint: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# What runs in a pack's interpreter is checked as of the oldest Python that mypy knows, too; its tests run on 3.9.
types: .venv/tested
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 $(addprefix st2sensor/,portable wrapper testing errors.py sensor.py)

# The reference of all options, from the options; a test compares.
docs: .venv/installed
	$(BIN)/python -m st2sensor.config.reference > docs/configuration.md

bench: .venv/tested rabbitmq wrk
	$(BIN)/python -m tests.bench

# Tries real packs, which lie in a folder, one folder each.
packs: .venv/tested
	$(BIN)/python -m tests.real_packs $(PACKS)

# All that tests need.
tools: .venv/tested rabbitmq chromium spin iproute2 wrk

# The broker that the tests run privately comes from Debian's package.
rabbitmq:
	@command -v rabbitmq-server >/dev/null || [ -x /usr/sbin/rabbitmq-server ] || $(call debian,rabbitmq-server)

# The browser that looks at the status page, too.
chromium:
	@command -v chromedriver >/dev/null || $(call debian,chromium chromium-driver)

# What explores the model of shared sensors, and compiles what does.
spin:
	@command -v spin >/dev/null && command -v gcc >/dev/null || $(call debian,spin gcc libc6-dev)

# Network namespaces, in which containers are cut off from each other's servers.
iproute2:
	@command -v ip >/dev/null || [ -x /usr/sbin/ip ] || $(call debian,iproute2)

# What posts to webhooks, many at a time.
wrk:
	@command -v wrk >/dev/null || $(call debian,wrk)

debian = [ "$$(id -u)" != 0 ] || \
	(apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(1))

.venv/installed: requirements.txt setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --config-settings editable_mode=compat --editable .
	@touch $@

.venv/tested: .venv/installed tests/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@
