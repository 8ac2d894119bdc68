# Everything is installed into .venv of this checkout.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

SOAK_MINUTES ?= 10

.PHONY: install demo test lint types docs bench soak packs rabbitmq chromium spin iproute2 wrk

install: .venv/installed

demo: .venv/installed
	@$(BIN)/st2sensor --config-file conf/st2.dev.conf demo

# Three tests at a time: most of them wait. A worker that dies ends the run.
test: .venv/tested rabbitmq chromium spin iproute2 wrk
	$(BIN)/pytest --numprocesses 3 --dist worksteal --max-worker-restart 0

lint: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The wrapper's code also as of the oldest Python that mypy knows; its tests run on 3.9.
types: .venv/tested
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 $(addprefix st2sensor/,wrapper testing command.py errors.py isotime.py keyspace.py \
		payload.py rpc.py sensor.py trace.py)

# The reference of all options, from the options; a test compares.
docs: .venv/installed
	$(BIN)/python -m st2sensor.config.reference > docs/configuration.md

bench: .venv/tested rabbitmq wrk
	$(BIN)/python -m tests.bench

soak: .venv/tested rabbitmq iproute2 spin wrk
	$(BIN)/pytest -m soak
	$(BIN)/python -m tests.soak --minutes $(SOAK_MINUTES)
	$(BIN)/python -m tests.fleet --minutes $(SOAK_MINUTES)

# Tries real packs, which lie in a folder, one folder each.
packs: .venv/tested
	$(BIN)/python -m tests.real_packs $(PACKS)

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
