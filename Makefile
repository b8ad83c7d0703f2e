# The two commands that a person needs are `make demo` and `make test`; each installs or builds what it lacks.
SHELL := /bin/bash
CARGO ?= cargo

.PHONY: help packages tools demo test corpus fuzz bench fmt lint deny docs package ci clean
help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

packages: ## Debian packages that the build and the real parts need (installs them when root)
	@tests/tools/debian-packages

tools: packages ## Kubernetes, CoreDNS and helm, built once from source into a cache outside this tree
	@tests/tools/build all >/dev/null

demo: tools ## a pull request becomes running pods on a real Kubernetes, start to end
	@$(CARGO) build --workspace --bins --locked
	@target/debug/demo

test: tools ## every test, the ones on a real API server and on a real node included
	@tests/run

corpus: ## the kustomize renderer against the conformance corpus that CI brings (LAPDEV_SHARED)
	@tests/tools/corpus

fuzz: ## each fuzz target for some seconds; needs a nightly toolchain
	@tests/tools/fuzz

bench: tools ## speed, each figure beside its floor or its peers in the same run; needs root
	@tests/tools/debian-packages bench
	@$(CARGO) build --workspace --bins --locked --profile fast
	@$(CARGO) build -p lapdev-cli -p lapdev-router --bins --locked --release
	@target/fast/bench

fmt: ## formatting, as CI wants it
	@$(CARGO) fmt --all

lint: ## clippy, warnings denied
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

deny: ## licences, sources and double versions of dependencies
	@tests/tools/deny

docs: ## API documentation, warnings denied
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

package: ## the kustomize renderer as the registry would get it
	@$(CARGO) package -p lapdev-kustomize --locked --quiet

ci: ## everything that a change must pass
	@bash .ci/run

clean: ## build output of this tree (the tools' cache stays)
	@$(CARGO) clean
