# make demo | test | bench | lint: each makes .venv first and installs what it needs.
# make fuzz: random programs by the ten thousand, three ways, and nonsense for every reader; all specs
# without optimisation. PROGRAMS=n SEED=text JOBS=n.
# make extremes: the longest and deepest programs and data, with each Python of PYTHONS; half an
# hour. Then n beside 4n.
# make explore: what kernel and library promise, under 100,000 schedules. RUNS=n SEED=n.
# make peers: other Lisps and other schedulers in Python, in .peers, for the rows of bench that stand
# beside them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN = $(VENV)/bin
PYTHONS ?= $(BIN)/python
PEERS = hy hissp basilisp calysto_scheme pydantic-monty uvloop trio gevent dbos

.PHONY: demo test bench fuzz explore extremes peers lint clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,openai,anthropic,schema,tokens,otel]'
	touch $@

demo: $(VENV)/.installed
	@mkdir -p build
	$(BIN)/omega run --llm scripted:examples/triage-rules.json examples/triage.omega examples/tickets.csv build/triaged.csv

test: lint
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python -m tests.bench

fuzz: $(VENV)/.installed
	OMEGA_SPEC_NO_OPT=1 $(BIN)/python -m pytest -n auto tests/test_specs.py -k no-opt
	nice -n 5 $(BIN)/python -m tests.lisp.fuzz $(if $(PROGRAMS),--programs $(PROGRAMS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS))

explore: $(VENV)/.installed
	$(BIN)/python -m tests.exploration $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

extremes: $(VENV)/.installed
	$(BIN)/python -m tests.extremes $(foreach python,$(PYTHONS),--python $(python))
	$(BIN)/python -m tests.extremes data wide --growth --part 4

peers:
	$(PYTHON) -m venv .peers
	@for peer in $(PEERS); do \
		.peers/bin/python -m pip install --quiet --disable-pip-version-check $$peer \
			|| echo "$$peer could not be installed: its row will be left out"; \
	done

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
