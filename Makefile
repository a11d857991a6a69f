# Each target does its own set-up: a fresh clone needs nothing but Python, make and a package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest -n 3 --dist worksteal
FORMS := .venv-forms
AXE := axe-core@4.14.1
INPUT ?=
DATA ?= ../shared/data
# more images, labelled by training/label.py, and the threads that a training takes
MORE ?= ../data/raw
THREADS ?= 2

.PHONY: help demo lint check test check-long check-forms fuzz site bench findings onnx train train-hand train-human clean

help:
	@echo "make demo [INPUT=image]   draw the keypoints of the faces in an image, into limner-out/"
	@echo "make check                lint, types and the quick tests: before each commit"
	@echo "make test                 lint, types and all tests"
	@echo "make check-long           the tests with their long forms: 20,000 frames, 5 minutes live, gigabytes of weights"
	@echo "make check-forms          read results back with the tools that they are for: installs those (2 GB, minutes)"
	@echo "make fuzz [KIND=images]   random files, configs and addresses: only limner's own errors may come of them (hours)"
	@echo "                          SHORT=1: as many as CI runs; SEED=7: others"
	@echo "make site                 the documentation as pages: limner-site/index.html"
	@echo "make bench                measure quality and speed of the bundled models"
	@echo "make findings             run what surprised us about other libraries: installs their packages (minutes)"
	@echo "make onnx                 compare published .pth and ONNX forms of every family, with drawn weights (minutes)"
	@echo "make train                train the bundled models again (hours)"
	@echo "make train-hand           train hand-lite, or go on where it stopped (hours); train-human: human-lite"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=24"

# the core alone: no torch
$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e ".[demo]"
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e ".[demo,test]"
	@npm install --prefix $(VENV)/npm --no-save --no-audit --no-fund --ignore-scripts $(AXE) >/dev/null 2>&1 || \
		echo "npm cannot install $(AXE): the test of the page with it skips" >&2
	@touch $@

demo: $(VENV)/.demo
	@$(BIN)/python demo/face_demo.py $(if $(INPUT),"$(INPUT)")

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint
	$(PYTEST) -m "not slow"

test: lint
	$(PYTEST)

check-long: $(VENV)/.test
	LIMNER_LONG=1 $(BIN)/python -m pytest -s

# apart from the tests' own environment: these libraries bring hundreds of packages
$(FORMS)/.done: tests/readers.txt
	$(PYTHON) -m venv $(FORMS)
	$(FORMS)/bin/python -m pip --disable-pip-version-check --quiet install --upgrade "pip>=24"
	$(FORMS)/bin/python -m pip --disable-pip-version-check --quiet install -r tests/readers.txt
	@touch $@

check-forms: $(FORMS)/.done
	PYTHONPATH=src $(FORMS)/bin/python -m pytest -rs tests/test_forms*.py

fuzz: $(VENV)/.test
	nice -n 10 $(BIN)/python fuzz/run.py $(KIND) --seed $(or $(SEED),0) $(if $(SHORT),--short)

# the documentation as pages, in limner-site/; apart from the tests' own environment
site: tools/site_pages.py mkdocs.yml
	$(PYTHON) -m venv .venv-site
	.venv-site/bin/python -m pip --disable-pip-version-check --quiet install -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 .venv-site/bin/mkdocs build --quiet
	@echo "limner-site/index.html"

findings:
	bash findings/run-all.sh

bench: $(VENV)/.test
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/speed.py

onnx: $(VENV)/.test
	$(BIN)/python -m pytest -q -s -n 0 tests/test_onnx_aliases.py

train: $(VENV)/.test
	$(PIP) install -c constraints.txt -e ".[train]"
	$(BIN)/python training/faces.py --data $(DATA) --out runs/faces.json
	$(BIN)/python training/detector.py --minutes 88 --data $(DATA) --records runs/faces.json --out runs/detector
	$(BIN)/python training/landmarks.py --minutes 85 --data $(DATA) --out runs/landmarks
	$(BIN)/python training/export.py limner/rtmdet_face-lite_288.py runs/detector/weights.pth src/limner/bundled/face-lite/detector.onnx
	$(BIN)/python training/export.py limner/rtmpose_face-lite_300w-160x160.py runs/landmarks/weights.pth src/limner/bundled/face-lite/pose.onnx
	$(BIN)/python training/quantise.py --data $(DATA)

# Weights are written at the end; until then each run goes on from the last checkpoint.
TRAIN := nice -n 19 $(BIN)/python training

$(VENV)/.train: $(VENV)/.test
	$(PIP) install -c constraints.txt -e ".[train]"
	@touch $@

runs/hands.pkl: | $(VENV)/.train
	$(TRAIN)/hands.py --data $(DATA) --more $(MORE) --out $@

runs/people.pkl: | $(VENV)/.train
	$(TRAIN)/people.py --data $(DATA) --more $(MORE) --out $@

runs/hand-detector/weights.pth: | runs/hands.pkl
	$(TRAIN)/boxes.py hand --threads $(THREADS) --data $(DATA) --more $(MORE)

runs/human-detector/weights.pth: | $(VENV)/.train
	$(TRAIN)/boxes.py human --threads $(THREADS) --data $(DATA) --more $(MORE)

runs/hand-pose/weights.pth: | runs/hands.pkl
	$(TRAIN)/poses.py hand --threads $(THREADS) --data $(DATA) --records runs/hands.pkl

runs/human-pose/weights.pth: | runs/people.pkl
	$(TRAIN)/poses.py human --threads $(THREADS) --data $(DATA) --records runs/people.pkl

train-hand: runs/hand-detector/weights.pth runs/hand-pose/weights.pth
	$(BIN)/python training/export.py limner/rtmdet_hand-lite_320.py runs/hand-detector/weights.pth runs/hand-lite/detector.onnx
	$(BIN)/python training/export.py limner/rtmpose_hand-lite_192x192.py runs/hand-pose/weights.pth runs/hand-lite/pose.onnx
	$(BIN)/python benchmarks/hand_body.py hand --detector runs/hand-detector/weights.pth --pose runs/hand-pose/weights.pth --data $(DATA) --more $(MORE)

train-human: runs/human-pose/weights.pth runs/human-detector/weights.pth
	$(BIN)/python training/export.py limner/rtmdet_human-lite_320.py runs/human-detector/weights.pth runs/human-lite/detector.onnx
	$(BIN)/python training/export.py limner/rtmpose_human-lite_256x192.py runs/human-pose/weights.pth runs/human-lite/pose.onnx
	$(BIN)/python benchmarks/hand_body.py human --detector runs/human-detector/weights.pth --pose runs/human-pose/weights.pth --data $(DATA)

clean:
	rm -rf $(VENV) $(FORMS) build dist limner-out
