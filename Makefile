# Every target sets up what it needs in .venv; nothing is installed by hand.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed
# The equations and what they are made of, and one model through all that every model goes through.
QUICK := $(addprefix tests/,$(addsuffix .py,test_equations test_conditional_equations test_distributions test_heads \
	test_gradients test_sampling test_row_noise conformance/test_models)) \
	-k "not test_models or (jmvae_kl and not jmvae_kl_)"

.PHONY: help setup train test test-quick reliability lint format docs reproduce-mnist reproduce-celeba reproduce-incomplete reproduce-many reproduce-spoken reproduce-tables results emoji bench bench-quality clean
.DEFAULT_GOAL := help

help:  ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 14

$(STAMP): setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name one with make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

setup: $(STAMP)  ## Make .venv with the tested versions of everything.

train: $(STAMP)  ## Train a model; ARGS="--preset mnist-jmvae-kl" chooses, ARGS=--help lists.
	$(BIN)/python train.py $(ARGS)

test: $(STAMP)  ## Run the tests; ARGS="-k data" chooses.
	$(BIN)/python -m pytest --numprocesses=auto --dist=worksteal $(ARGS)

test-quick: $(STAMP)  ## Run the heart of the tests, in about a minute.
	$(BIN)/python -m pytest --numprocesses=auto --dist=worksteal $(QUICK) $(ARGS)

reliability: $(STAMP)  ## Kill, starve and fuzz it, and write docs/reliability.md (KILLS=60 SEED=0 ARGS="-k training").
	RELIABILITY_KILLS=$(or $(KILLS),60) RELIABILITY_SEED=$(or $(SEED),0) \
		$(BIN)/python -m pytest --numprocesses=0 tests/faults $(ARGS)

lint: $(STAMP)  ## Check style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)  ## Mend style and formatting.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)  ## Build the documentation into site/.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build $(ARGS)

reproduce-mnist: $(STAMP)  ## Run the paper's MNIST experiments and write docs/results.md (ARGS="--data-dir FOLDER").
	$(BIN)/tf-jmvae reproduce mnist $(ARGS)

reproduce-celeba: $(STAMP)  ## Run the paper's CelebA experiments (ARGS="--small --data-dir FOLDER" on two cores).
	$(BIN)/tf-jmvae reproduce celeba $(ARGS)

reproduce-incomplete: $(STAMP)  ## Train on rows that lack modalities and write docs/results-incomplete.md (ARGS="--data-dir FOLDER").
	$(BIN)/tf-jmvae reproduce incomplete $(ARGS)

reproduce-many: $(STAMP) $(PEERS_STAMP)  ## Train on five views of a digit, beside MultiVae, and write docs/results-many.md (ARGS="--data-dir FOLDER").
	$(BIN)/tf-jmvae reproduce many --peer-python $(PEERS)/bin/python $(ARGS)

reproduce-spoken: $(STAMP)  ## Train on digits seen, heard and named and write docs/results-spoken.md (ARGS="--data-dir FOLDER").
	$(BIN)/tf-jmvae reproduce spoken $(ARGS)

reproduce-tables: $(STAMP)  ## Fill gaps of tables, beside scikit-learn, and write docs/results-tables.md.
	$(BIN)/tf-jmvae reproduce tables $(ARGS)

emoji: $(STAMP)  ## Train the model of emoji, measure it and write saved_models/emoji (ARGS="--data-dir FOLDER").
	$(BIN)/python benchmarks/emoji.py $(ARGS)
	$(BIN)/python benchmarks/emoji_page.py $(ARGS)

results: $(STAMP)  ## Write docs/results*.md anew from the records in docs/results, without a training.
	$(BIN)/python -m tf_jmvae.studies.experiments docs

$(PEERS_STAMP): benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $(PEERS_STAMP)

bench: $(STAMP) $(PEERS_STAMP)  ## Measure beside MultiVae, Pixyz and PyTorch, and write docs/performance.md (ARGS="--again").
	$(BIN)/python benchmarks/run.py $(ARGS)

bench-quality: $(STAMP) $(PEERS_STAMP)  ## Measure the time to quality on MNIST (ARGS="--data-dir FOLDER"): about an hour.
	$(BIN)/python benchmarks/quality.py $(ARGS)
	$(BIN)/python benchmarks/report.py

clean:  ## Remove .venv and caches; runs stay.
	rm -rf $(VENV) $(PEERS) site build dist *.egg-info .pytest_cache .ruff_cache
