# Everything runs in .venv, which `make env` makes; torch and transformers, which only the parity tests
# need, have an environment of their own. Variables can be set on the command line: make demo SEEDS=3
PYTHON ?= python3
SEEDS ?= 10
ALPHA_SINGLE ?= 0.0167
ALPHA_EVERY ?= 0.005
ALPHA_GPT2 ?= 0.0092
RESULTS ?= results/demo
PAPER ?= results/paper
# CUDA=1 installs JAX for NVIDIA GPUs: make env CUDA=1
CUDA ?=
# Options for installing torch, e.g. TORCH_OPTIONS='--index-url https://download.pytorch.org/whl/cpu'
# where the default would be a build for GPUs.
TORCH ?= torch==2.13.0
TORCH_OPTIONS ?=
TRANSFORMERS ?= transformers>=5.17

# Tests run side by side, those of a file together: more workers take more memory.
WORKERS ?= 2
SIDE_BY_SIDE = -n $(WORKERS) --dist loadfile

comma := ,
PIP = -m pip --disable-pip-version-check install -q --prefer-binary --no-compile
NUMBER_AGREEMENT = .venv/bin/python -m experiments.number_agreement --seeds $(SEEDS)

.DELETE_ON_ERROR:
.PHONY: env demo paper docs test test-all test-torch lint clean

env: .venv/.installed

demo: env
	$(NUMBER_AGREEMENT) --model demo --place single --alpha $(ALPHA_SINGLE) --out $(RESULTS)/single
	$(NUMBER_AGREEMENT) --model demo --place every --alpha $(ALPHA_EVERY) --out $(RESULTS)/every
	$(NUMBER_AGREEMENT) --model demo-gpt2 --site attention --place last --alpha $(ALPHA_GPT2) \
	  --out $(RESULTS)/gpt2

# All that the paper reports, on the bundled model: half an hour or so on 2 cores.
paper: env
	.venv/bin/python -m experiments.reproduce_paper --model demo --seeds $(SEEDS) --out $(PAPER)

# The guide: its notebook is executed, warnings are errors, nothing is fetched.
docs: .venv/.documented
	@echo 'building the guide: a minute or two, most of it for the tutorial, whose cells are executed'
	.venv/bin/python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo 'the guide is in $(CURDIR)/build/docs/index.html'

test: .venv/.tested
	.venv/bin/python -m pytest $(SIDE_BY_SIDE)

test-all: .venv/.tested test-torch
	.venv/bin/python -m pytest $(SIDE_BY_SIDE) -m 'not torch' --hypothesis-profile thorough

test-torch: .venv-torch/.installed
	.venv-torch/bin/python -m pytest -m torch

lint: .venv/.tested
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

clean:
	rm -rf .venv .venv-torch build dist docs/reference results .pytest_cache .mypy_cache .ruff_cache .hypothesis

# What a user needs, nothing more: `make demo` waits for it.
.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "jaxmask needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP) -e '.[experiments,transformers$(if $(CUDA),$(comma)cuda)]'
	@touch $@

.venv/.tested: .venv/.installed
	.venv/bin/python $(PIP) -e '.[experiments,test,dev]'
	@touch $@

.venv/.documented: .venv/.installed
	.venv/bin/python $(PIP) -e '.[experiments,transformers,docs]'
	@touch $@

.venv-torch/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-torch
	.venv-torch/bin/python $(PIP) $(TORCH_OPTIONS) '$(TORCH)'
	.venv-torch/bin/python $(PIP) '$(TORCH)' '$(TRANSFORMERS)'
	.venv-torch/bin/python $(PIP) -e '.[experiments,test]'
	@touch $@
