# Everything starts here: `make` explains, `make demo` shows the codec at work, `make test` checks the project.
# The only needs are Python 3.11 or later with its venv module, and an internet connection for the first run.

VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := demo-output
PHOTO  := osprey

# The first interpreter that is new enough. Override: make demo PYTHON=/path/to/python3.12
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# PyPI's torch for Linux brings several gigabytes of GPU libraries that this project never uses; the CPU build
# is a tenth of that. A machine whose pip already has an index or wheel folder of its own is left to it.
TORCH_INDEX := https://download.pytorch.org/whl/cpu
PIP_INSTALL  = $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt \
	$$(sh -c 'test "$$(uname -s)" = Linux || exit 0; \
	$(BIN)/python -m pip config list | grep -E "(index-url|find-links|no-index)=" >/dev/null || \
	echo "--extra-index-url $(TORCH_INDEX)"')

# `make fuzz` needs clang. Kernels are not watched for coverage: their loops would take most of the time.
FUZZ         := build/fuzz
FUZZ_SECONDS ?= 3600
SANITIZED    := clang -std=c11 -O2 -g -ffp-contract=off -D_GNU_SOURCE -Ipico_core/native \
	-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all

# The native engine, beside its sources.
LIBRARY := pico_core/native/$(if $(filter Darwin,$(shell uname -s)),libpico.dylib,libpico.so)

.DEFAULT_GOAL := help
.PHONY: help demo test lint install native web wheels docs fuzz clean

help:
	@echo "pillow-pico: the .pico picture format for Pillow and for photo libraries"
	@echo
	@echo "  make demo     install into $(VENV), shrink the photographs of samples/ and show what it saved"
	@echo "  make test     ruff, mypy and the tests"
	@echo "  make lint     ruff and mypy only"
	@echo "  make fuzz     the native engine with hostile input, for an hour (FUZZ_SECONDS=3600); needs clang"
	@echo "  make install  install into $(VENV) and nothing more"
	@echo "  make native   compile the native engine if its sources changed"
	@echo "  make web      pico.html, which opens .pico files in a browser, and the npm package, in dist/web/"
	@echo "  make wheels   a wheel for each system that the engine is compiled for, in dist/"
	@echo "  make docs     the pages of docs/ as a web site, in build/docs; a dead link is an error"
	@echo "  make clean    remove $(VENV), $(DEMO), dist/, the compiled engine and caches"

demo: native
	@rm -rf $(DEMO) && mkdir $(DEMO) && cp samples/*.jpg samples/*.png $(DEMO)/
	@echo "Shrinking a copy of samples/ in $(DEMO)/; every original stays as it is."
	@echo
	@PICO_LIBRARY_HOME=$(abspath $(DEMO))/.journal $(BIN)/pico-library shrink $(DEMO)
	@$(BIN)/pico-codec decode $(DEMO)/$(PHOTO).jpg.pico $(DEMO)/$(PHOTO)-from-pico.png
	@echo
	@echo "See for yourself"
	@echo "  decoded:            $(DEMO)/$(PHOTO)-from-pico.png"
	@echo "  the original:       $(DEMO)/$(PHOTO).jpg"
	@echo "  what a file holds:  $(BIN)/pico-codec info $(DEMO)/$(PHOTO).jpg.pico"
	@echo "  your own photos:    $(BIN)/pico-library shrink --estimate FOLDER"

test: lint native
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(VENV)/.installed-for-tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fuzz: $(VENV)/.installed-for-tests
	@mkdir -p $(FUZZ)/inputs
	@$(BIN)/python tests/small_networks.py $(FUZZ)
	@for source in pico_core/native/*.c tests/native/fuzz.c; do \
	case $$source in */kernels_*) watched=;; *) watched=-fsanitize=fuzzer-no-link;; esac; \
	$(SANITIZED) $$watched -c -o $(FUZZ)/$$(basename $$source .c).o $$source || exit 1; done
	@$(SANITIZED) -fsanitize=fuzzer -o $(FUZZ)/fuzz $(FUZZ)/*.o -lm
	@PICO_FUZZ_MODELS=$$(echo $(FUZZ)/*.model | tr " " ":") $(FUZZ)/fuzz -max_total_time=$(FUZZ_SECONDS) \
	-len_control=0 -max_len=600 -timeout=60 -artifact_prefix=$(FUZZ)/found- $(FUZZ)/inputs

install: $(VENV)/.installed

# Installing compiles the engine; after that only a change of its sources does.
native: $(VENV)/.installed $(LIBRARY)

$(LIBRARY): $(wildcard pico_core/native/*.[ch]) pico_core/native/hatch_build.py | $(VENV)/.installed
	@$(BIN)/python -m hatchling build --target wheel:editable --hooks-only

web: $(VENV)/.installed
	@$(BIN)/python -m pico_web.build dist/web

wheels: $(VENV)/.installed
	@for platform in $$($(BIN)/python pico_core/native/hatch_build.py) any; do \
	PICO_BUILD_FOR=$$platform $(BIN)/python -m hatchling build --target wheel --directory dist || exit 1; done

docs: $(VENV)/.installed-for-docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --config-file .ci/mkdocs.yml
	@echo "Open build/docs/index.html"

# The project's own build needs are installed first and build isolation is off, so that they too have exact versions.
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or later found; install one, or say make PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	echo "make: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV) (first time: about 130 MB to download, most of it the compiler) ..."
	@$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" \
	| $(PIP_INSTALL) editables --requirement /dev/stdin
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-for-tests: $(VENV)/.installed
	@echo "Installing what the tests need ..."
	@$(PIP_INSTALL) --no-build-isolation --editable ".[test,bench,dask,study]"
	@touch $@

$(VENV)/.installed-for-docs: $(VENV)/.installed
	@echo "Installing what the pages need ..."
	@$(PIP_INSTALL) --no-build-isolation --editable ".[docs]"
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO) dist $(LIBRARY) tools/pico_web/pico.wasm .mypy_cache .ruff_cache .pytest_cache .hypothesis
