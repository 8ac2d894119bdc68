# Everything is installed into .venv in this checkout.

# The first of these that works and is new enough. Each of 3.11 to 3.13 will do: make install PYTHON=python3.13.
PYTHON ?= $(shell for found in python3.11 python3.12 python3.13 python3; do \
	$$found -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; done; echo $$found)
BIN := .venv/bin

# Number of tests that run at the same time. Most tests spend most of their time waiting.
WORKERS ?= 4
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --max-worker-restart 0

# Compiled modules are kept, whatever the shell says: each worker and each of the many processes would compile them again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install demo check test soak coverage lint types unit tools docs pictures bench packs rabbitmq chromium spin iproute2 wrk mosquitto postgresql shells

install: .venv/installed

demo: .venv/installed
	@$(BIN)/st2sensor demo

# Shows within a minute whether a change broke something.
check: .venv/tested
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target unit lint types

# Shows whether everything works. DURATIONS=1 prints where the time is spent; TEST_PATIENCE=3 makes
# all deadlines three times as long. Tests of generated values try more examples in make soak.
test: tools
	EXAMPLES=0.1 $(PYTEST) --dist loadfile --no-loadscope-reorder

# Runs the cases that take a long time. MINUTES=15 stops after 15 minutes; STORM_MINUTES=10 makes storms last 10 minutes
# instead of 2. STORM_EVENTS, STORM_KILLS and STORM_TAKEOVERS are those of the storm of repeats.
soak: tools mosquitto postgresql shells
	$(PYTEST) --dist load --maxschedchunk 1 -m soak $(if $(MINUTES),--soak-minutes $(MINUTES))

# Prints the branch coverage. TESTS=tests/unit measures unit tests alone.
coverage: tools
	$(BIN)/coverage erase
	EXAMPLES=0.1 $(BIN)/coverage run -m pytest --numprocesses $(WORKERS) --max-worker-restart 0 --dist loadfile $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

unit: .venv/tested
	EXAMPLES=0.1 $(BIN)/pytest --quiet --numprocesses 2 --dist worksteal tests/unit tests/fleet tests/real_packs tests/test_layers.py

lint: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The modules that run in a pack's interpreter are also checked for the oldest Python that mypy knows. Their tests run on
# 3.9.
types: .venv/tested
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 $(addprefix st2sensor/,portable wrapper testing errors.py sensor.py)

# Writes the reference of all options. A test compares it with the options.
docs: .venv/installed
	$(BIN)/python -m st2sensor.config.reference > docs/configuration.md

# Makes the README's pictures again, of the real page and the real terminal. Run it after a change of either.
pictures: .venv/tested chromium
	$(BIN)/python -m tests.pictures docs/pictures

# Prints figures, goals and limits; BASE=FILE compares with an earlier run, BENCH="NAME NAME" runs only these.
bench: .venv/tested rabbitmq wrk
	$(BIN)/python -m tests.bench $(BENCH) $(if $(BASE),--base $(BASE))

# Tests real packs. PACKS is a folder that contains a folder for each pack.
packs: .venv/tested
	$(BIN)/python -m tests.real_packs $(PACKS)

# Installs everything that the tests need.
tools: .venv/tested rabbitmq chromium spin iproute2 wrk

# The tests run a private broker, from Debian's package.
rabbitmq:
	@command -v rabbitmq-server >/dev/null || [ -x /usr/sbin/rabbitmq-server ] || $(call debian,rabbitmq-server)

# The tests open the status page in this browser.
chromium:
	@command -v chromedriver >/dev/null || $(call debian,chromium chromium-driver)

# Spin explores the model of shared sensors, and gcc compiles its explorer.
spin:
	@command -v spin >/dev/null && command -v gcc >/dev/null || $(call debian,spin gcc libc6-dev)

# The fleet's containers run in network namespaces, so that they can be cut off from servers.
iproute2:
	@command -v ip >/dev/null || [ -x /usr/sbin/ip ] || $(call debian,iproute2)

# wrk sends many posts to webhooks at the same time.
wrk:
	@command -v wrk >/dev/null || $(call debian,wrk)

# The recipes of docs/cookbook are tested with these servers.
mosquitto:
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || $(call debian,mosquitto)

postgresql:
	@command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || $(call debian,postgresql)

# Completion is tested in each of these.
shells:
	@command -v zsh >/dev/null && command -v fish >/dev/null || $(call debian,zsh fish)

debian = [ "$$(id -u)" != 0 ] || \
	(apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(1))

# Says what is missing before anything is made.
python_works = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "st2sensor needs CPython 3.11, 3.12 or 3.13, but $(PYTHON) is: $$($(PYTHON) --version 2>&1 | head -n 1)" >&2; \
	echo "Install one, or name one: make install PYTHON=/usr/bin/python3.13" >&2; exit 1; }
venv_works = $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "$(PYTHON) has no venv; on Debian and Ubuntu, as root: apt-get install $(notdir $(PYTHON))-venv" >&2; exit 1; }

# A virtualenv that an earlier attempt left unfinished is made again.
.venv/installed: requirements.txt setup.py pyproject.toml
	@$(python_works)
	@$(venv_works)
	@[ -e $@ ] && $(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --config-settings editable_mode=compat --editable .
	@touch $@

.venv/tested: .venv/installed tests/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@
