# Each target does its own set-up: a fresh clone needs nothing but Python, make and a package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest -n 3 --dist worksteal
INPUT ?=
DATA ?= ../shared/data

.PHONY: help demo lint check test check-long bench findings train clean

help:
	@echo "make demo [INPUT=image]   draw the keypoints of the faces in an image, into limner-out/"
	@echo "make check                lint, types and the quick tests: before each commit"
	@echo "make test                 lint, types and all tests"
	@echo "make check-long           the tests with their long forms: 20,000 frames, 5 minutes live, gigabytes of weights"
	@echo "make bench                measure quality and speed of the bundled models"
	@echo "make findings             run what surprised us about other libraries: installs their packages (minutes)"
	@echo "make train                train the bundled models again (hours)"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=24"

# the core alone: no torch
$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e ".[demo]"
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e ".[demo,test]"
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

findings:
	bash findings/run-all.sh

bench: $(VENV)/.test
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/speed.py

train: $(VENV)/.test
	$(PIP) install -c constraints.txt -e ".[train]"
	$(BIN)/python training/faces.py --data $(DATA) --out runs/faces.json
	$(BIN)/python training/detector.py --minutes 88 --data $(DATA) --records runs/faces.json --out runs/detector
	$(BIN)/python training/landmarks.py --minutes 85 --data $(DATA) --out runs/landmarks
	$(BIN)/python training/export.py limner/rtmdet_face-lite_288.py runs/detector/weights.pth src/limner/bundled/face-lite/detector.onnx
	$(BIN)/python training/export.py limner/rtmpose_face-lite_300w-160x160.py runs/landmarks/weights.pth src/limner/bundled/face-lite/pose.onnx
	$(BIN)/python training/quantise.py --data $(DATA)

clean:
	rm -rf $(VENV) build dist limner-out
