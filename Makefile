# Everything sets itself up in .venv from a bare machine with python3 >= 3.11 and a C++ compiler; nothing is global.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml setup.py constraints.txt $(wildcard csrc/*)

.PHONY: run test check docs site bench bench-host clean

run: .venv/.ready ## FuseMax against FLAT, step by step, with a picture
	$(BIN)/python examples/fusemax_steps.py

test: .venv/.ready-dev ## style, types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -n auto

docs: .venv/.ready-dev ## run every command and code block of the README and the docs
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python .ci/blocks.py README.md docs/*.md

site: .venv/.ready ## docs/ as a site in out/site
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt mkdocs mkdocs-material
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: .venv/.ready ## how fast lightbound itself is
	$(BIN)/python benchmarks/engine.py

bench-host: .venv/.ready-dev ## lightbound's kernels on this machine, beside PyTorch, their bounds and their predictions
	$(BIN)/lightbound probe host
	$(BIN)/python benchmarks/host.py

clean:
	rm -rf .venv build src/*.egg-info src/lightbound/_core*.so

.venv/.ready: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	rm -rf build
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[plot]'
	touch $@

# torch first and pinned: an open range takes a build with gigabytes of CUDA.
.venv/.ready-dev: .venv/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,torch,triton]'
	touch $@
