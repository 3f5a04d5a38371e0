# Two commands for everybody:  make run [SONG=path]  and  make test
# For those who change things: make check · fix · docs · wheel · lock · bench

PYTHON ?= python3
# A different build of PyTorch: make venv TORCH="torch==2.13.0 --index-url ADDRESS"
TORCH ?= torch==2.13.0
BIN := .venv/bin
READY := .venv/.ready

.PHONY: venv run test check fix format lint types imports docs wheel lock bench clean

venv: $(READY)

# PyTorch first: whatever asks for torch later finds this build and fetches no other.
$(READY): requirements.lock requirements-oracles.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Unbraid needs Python 3.10 or newer; name one: make venv PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-oracles.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

run: $(READY)
	@$(BIN)/python examples/first_song.py $(if $(SONG),"$(SONG)")

# A process for each core, each with one thread: two of them with two threads each would wait for one another.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto

check: format lint types imports test docs wheel

format: $(READY)
	$(BIN)/ruff format --check

lint: $(READY)
	$(BIN)/ruff check

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

fix: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python benchmarks/report.py

docs: $(READY)
	$(BIN)/mkdocs build --strict --quiet

# The wheel as a stranger gets it: built, installed into an empty environment, and used there.
wheel: $(READY)
	rm -rf dist build/wheel
	$(BIN)/python -m build --wheel --no-isolation --outdir dist >/dev/null
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/pip install --quiet --disable-pip-version-check $(TORCH)
	build/wheel/bin/pip install --quiet --disable-pip-version-check dist/unbraid-*.whl
	build/wheel/bin/pip check
	cd build && wheel/bin/python ../tests/wheel_smoke.py

# Pins for every platform and Python; PyTorch and what its GPU builds bring are the Makefile's own business.
lock: $(READY)
	mkdir -p build && echo "torch==2.13.0" > build/constraints.txt
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.10 --upgrade --quiet \
	  --generate-hashes --no-header --no-annotate --constraint build/constraints.txt \
	  | awk '/^[a-z]/ { skip = /^(torch|triton|nvidia-|cuda-)/ } !skip && !/^ *#/' > requirements.lock

# SONGS is a folder with a folder for each song: mixture.flac and true stems. Takes hours; the memory part, one.
bench: $(READY)
	$(BIN)/python benchmarks/parity.py $(SONGS)
	$(BIN)/python benchmarks/spleeter.py $(SONGS)
	$(BIN)/python benchmarks/classical.py $(SONGS)
	$(BIN)/python benchmarks/sounds.py $(SONGS)/lithium
	$(BIN)/python benchmarks/memory.py 5 60
	$(BIN)/python benchmarks/models.py
	$(BIN)/python benchmarks/peers.py --song $(SONGS)/lithium/mixture.flac
	$(BIN)/python benchmarks/agreement.py
	$(BIN)/python benchmarks/report.py

clean:
	rm -rf .venv build dist site .mypy_cache .ruff_cache .pytest_cache
