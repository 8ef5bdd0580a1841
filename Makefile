# A target with a ## text is one that `make` lists.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Static binaries: they run on any distribution, and start without the loader.
export CGO_ENABLED = 0

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## the product's binaries, into build/
	@mkdir -p build
	go build -ldflags "-s -w" -o build/ $(patsubst %/main.go,./%,$(wildcard cmd/rollpatch*/main.go))

.PHONY: demo
demo: build ## patch a lab while traffic flows over it (LAB=real|sim, DEMO_KEEP=0)
	@go run ./cmd/lab demo

.PHONY: test
test: ## lint and every test, end to end on a lab too (LAB=real|sim, ONLY="unit ...")
	@go run ./testenv/testrun/cmd $(ONLY)

.PHONY: chaos
chaos: build ## break things under campaigns, judge by what the hosts recorded (CHAOS="F16,F21/soak")
	@go run ./cmd/lab chaos

.PHONY: mutants
mutants: ## take one guard out at a time: a test must fail for each (MUTANTS='"P1: ..." "P2: ..."')
	@go run ./testenv/mutants/cmd $(MUTANTS)

.PHONY: histories
histories: build ## record anew what the replay tests replay (STORIES="hold backout")
	@ROLLPATCHD_BIN=$(CURDIR)/build/rollpatchd go run ./testenv/histories/cmd $(STORIES)
	go test ./workflows -run '^TestHistories' -update

.PHONY: lint
lint: ## gofmt, vet, staticcheck, workflowcheck, shellcheck, govulncheck, go.mod
	@go run ./testenv/testrun/cmd lint

.PHONY: lab-up
lab-up: ## bring up the lab and leave it running
	@go run ./cmd/lab up

.PHONY: lab-sim
lab-sim: ## bring simulated hosts up until Ctrl-C: no root, no virtual machines
	@go run ./cmd/lab sim

.PHONY: lab-down
lab-down: ## take the lab down
	@go run ./cmd/lab down

.PHONY: clean
clean: ## take the lab down and remove build/
	@if [ -d build/lab ]; then go run ./cmd/lab down; fi
	rm -rf build
