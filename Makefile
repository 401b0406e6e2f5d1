# Culvert's commands. `make help` lists them; each says what it will take before it takes it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CULVERT := .build/release/culvert
# Network namespaces, TUN devices and UDP ports 500 and 4500 are root's.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
# Seconds for which each fuzz target runs, and how often the soak test dials in.
FUZZ_SECONDS ?= 20
DIAL_INS ?= 200
# How many bad lines between two gateways the unit tests play.
PAIR_SEEDS ?= 10000

.PHONY: help run build test bench lint fuzz soak matrix image clean swift

help: ## list the targets
	@echo 'make TARGET, where TARGET is one of'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1 \2/p' Makefile | while read -r t h; do printf '  %-7s %s\n' "$$t" "$$h"; done

run: release ## install what is missing, build the release binary, start the gateway (first build: 3 minutes)
	@scripts/serve $(CULVERT)

build: release ## install what is missing, build the release binary (first build: 3 minutes)

.PHONY: release
release: swift
	@scripts/install-packages build
	@echo 'make: release build (about 3 minutes the first time, on two cores)'
	swift build -c release --product culvert

test: swift ## run all tests: unit, instructions, fuzz, real clients (about 21 minutes on two cores)
	@scripts/install-packages test
	@echo 'make: debug build and unit tests (about 5 minutes the first time)'
	swift build --build-tests
	IKE_PAIR_SEEDS=$(PAIR_SEEDS) swift test --skip-build
	@echo 'make: release build (about 3 minutes the first time)'
	swift build -c release --product culvert
	swift build -c release --product culvert-bench
	@echo 'make: instructions of the packet path against Tests/Instructions/limits (half a minute)'
	Tests/Instructions/run
	@if [ -x Tests/Fuzz/run ]; then $(MAKE) fuzz; fi
	@echo 'make: real clients against the release build (about 8 minutes)'
	$(AS_ROOT) Tests/Interop/run --culvert $(CULVERT)
	$(AS_ROOT) Tests/Interop/matrix --culvert $(CULVERT) --every 9

bench: release ## measure everything: ciphers, path, dial-ins, throughput, latency, scale, SoftEther beside it (25 minutes)
	swift build -c release --product culvert-bench
	@scripts/install-packages bench
	@echo 'make: in memory: ciphers, packet path, many sessions, dial-ins, idle clients (2 minutes)'
	@for part in crypto path scale dial memory; do .build/release/culvert-bench $$part --results bench-results; done
	@echo 'make: dial-ins by UDP (1 minute), clients in User-Mode Linux (2 minutes)'
	$(AS_ROOT) Tests/Interop/load --culvert $(CULVERT) --results bench-results
	$(AS_ROOT) Tests/Interop/bench --culvert $(CULVERT)
	@echo 'make: throughput against the same gateway without cryptography (5 minutes)'
	$(AS_ROOT) Tests/Interop/throughput --culvert $(CULVERT) --rounds 2 --seconds 3
	@echo 'make: throughput against SoftEther VPN Server by load clients and real ones (4 minutes)'
	$(AS_ROOT) Tests/Interop/throughput --culvert $(CULVERT) --rounds 2 --seconds 3 --kinds tcp-up,tcp-down --name peer cbc peer
	$(AS_ROOT) Tests/Interop/bench --culvert $(CULVERT) --peer 2
	@echo 'make: what a client at full speed costs the others, and with a gateway that waits for no processor (6 minutes)'
	$(AS_ROOT) Tests/Interop/latency --culvert $(CULVERT) --rounds 2
	$(AS_ROOT) Tests/Interop/latency --culvert $(CULVERT) --rounds 2 --realtime --dial-ins 0 --name latency-realtime gcm null
	@echo 'make: 1, 100, 10000 and 100000 sessions (12 minutes)'
	$(AS_ROOT) Tests/Interop/scale --culvert $(CULVERT)

lint: swift ## check formatting of Swift, syntax of scripts (about 20 seconds)
	@scripts/lint

fuzz: swift ## run each fuzz target for FUZZ_SECONDS (20), from its corpus (build: 2 minutes)
	@scripts/install-packages build
	@echo 'make: fuzzing, $(FUZZ_SECONDS) seconds for each target (about 2 minutes more for the build)'
	Tests/Fuzz/run --seconds $(FUZZ_SECONDS)

soak: release ## dial in and hang up DIAL_INS (200) times; nothing may stay behind (about 20 minutes)
	@scripts/install-packages test
	@echo 'make: $(DIAL_INS) dial-ins and hang-ups (about 6 seconds each)'
	$(AS_ROOT) Tests/Interop/soak --culvert $(CULVERT) --dial-ins $(DIAL_INS)

matrix: release ## every IKE exchange, group, cipher and certificate; long rekeys and floods (about 20 minutes)
	@scripts/install-packages test
	@echo 'make: strongSwan and libreswan, 126 dials (about 8 minutes), then the long cases (about 13)'
	$(AS_ROOT) Tests/Interop/matrix --culvert $(CULVERT)
	$(AS_ROOT) Tests/Interop/run --culvert $(CULVERT) --long --only rekey-strongswan rekey-libreswan kilobytes-500 killed dpd flood

image: ## build the container image culvert:latest with docker, podman or buildah (about 5 minutes)
	@for tool in docker podman buildah; do \
	    if command -v $$tool >/dev/null; then exec $$tool build -t culvert:latest .; fi; \
	done; echo 'make: none of docker, podman, buildah is installed' >&2; exit 1

clean: ## remove everything that was built
	rm -rf .build fuzz-work bench-results

swift:
	@command -v swift >/dev/null || { \
	    echo 'make: Swift 6.3 is needed: https://www.swift.org/install/linux/' >&2; exit 1; }
