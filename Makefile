# The targets that people use. `make` alone lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
# Built and not "go run", which would add a line of its own to each refusal.
dev := go build -o build/bin/ ./worker/dev && exec build/bin/dev
.PHONY: help dev demo test conformance build size lint fuzz bench deploy doctor native vouch inspect linked licences release register rotate-key check-policy mutants tools check-go clean relink

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: tools build ## run the Worker with a local Vouch and STS on port 3000 (PORT=... for another)
	@echo "Compiling the local stack ..."; .ci/dots go build -o build/bin/ ./worker/dev && exec build/bin/dev dev

demo: tools build ## get one of each credential from the Worker, from sign-in to result, and stop
	@echo "Compiling the local stack ..."; .ci/dots go build -o build/bin/ ./worker/dev && exec build/bin/dev demo

test: tools build build/faults/worker.mjs lint ## run every test: native with -race, then the Worker in workerd
	@sh .ci/test

conformance: tools build ## run the official MCP conformance suite against the Worker
	@go test -count=1 -tags conformance -run TestConformance -v ./worker/e2e

build: build/worker.mjs ## compile the Worker into build/, with policy.json if there is one
	@$(call put-policy,build)

size: tools build ## print the upload's size as wrangler tells it, and hold it under the budget
	@$(dev) size

lint: tools ## vet, gofmt, staticcheck, tsc, and what must not be linked into the Wasm build
	@$(dev) lint

fuzz: check-go ## run each fuzz target for FUZZTIME (default 20s)
	@$(dev) fuzz

mutants: tools build build/faults/worker.mjs ## break security checks one by one; the tests must catch each (ONLY=seal: of one place, SAMPLE=10: every tenth)
	@$(dev) mutants

bench: tools build build/stock/worker.mjs build/peer/worker.mjs ## compare with a TypeScript broker, stock workers.Serve and an empty Worker (BENCH=short: only see that it works)
	@go run ./worker/bench

deploy: tools build ## check the configuration and deploy with wrangler (DRY_RUN=1: all but the upload)
	@$(dev) deploy

doctor: check-go ## examine the deployed broker and what it needs (URL=https://HOST for another than wrangler.toml's)
	@$(dev) doctor

native: check-go ## run broker, Vouch and STS natively in one process, for a debugger
	@echo "Compiling the local stack ..."; .ci/dots go build -o build/bin/ ./worker/dev && exec build/bin/dev native

vouch: check-go ## run the local Vouch and STS alone, for wrangler dev or a broker of your own
	@echo "Compiling the local stack ..."; .ci/dots go build -o build/bin/ ./worker/dev && exec build/bin/dev vouch

inspect: check-go ## say what a sealed value is, with the broker's key (value from the standard input)
	@$(dev) inspect

linked: check-go ## write the list of packages that are linked into the Worker
	@$(dev) linked

licences: check-go ## print the licences of all that is linked into the Worker
	@$(dev) licences

release: build ## build the commit twice, compare, and put build, checksums and SBOM into dist/
	@$(dev) release

register: tools check-go ## register the broker at VOUCH_ISSUER for VOUCH_AUDIENCE, or update that (RUN=1: put the secret too)
	@$(dev) register

rotate-key: tools check-go ## give the Worker a new key beside the old one; 9 hours later, drop the old one
	@$(dev) rotate-key

check-policy: check-go ## tell what is wrong with policy.json, or with FILE=..., and try its tests
	@$(dev) check-policy

tools: check-go node_modules/.package-lock.json

clean: ## remove what was built and installed here
	@rm -rf build node_modules .wrangler worker/e2e/clients/node_modules worker/bench/peer/node_modules

check-go:
	@command -v go >/dev/null || { echo "Go is missing: install Go 1.26 or newer from https://go.dev/dl"; exit 1; }

node_modules/.package-lock.json: package.json package-lock.json | check-go
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or newer from https://nodejs.org"; exit 1; }
	@echo "Installing wrangler, workerd and Node from npm into node_modules (once, about 400 MB) ..."
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error || { echo "npm ci failed; its own words are above."; exit 1; }
	@touch $@

# What the build is made of, as /healthz tells it: the commit, and a hash of what was changed since. Another one means to
# link again.
commit := $(shell c=$$(git rev-parse --short=12 HEAD 2>/dev/null) && { git diff --quiet HEAD && echo $$c || echo $$c-$$(git diff HEAD | git hash-object --stdin | cut -c1-8); })
ifneq ($(commit),$(shell cat build/commit 2>/dev/null))
build/worker.mjs: relink
endif

wasm_sources := Makefile go.mod go.sum $(wildcard worker/*.mjs) $(shell find broker worker -name node_modules -prune -o \( -name '*.go' ! -name '*_test.go' -o -name schemas.json \) -print)

build/worker.mjs: $(wasm_sources) | check-go
	$(call build-worker,build,)

build/faults/worker.mjs: $(wasm_sources) build/worker.mjs
	$(call build-worker,build/faults,faults)

build/stock/worker.mjs: $(wasm_sources) build/worker.mjs
	@go tool workers-assets-gen -mode=go -o build/stock
	@GOOS=js GOARCH=wasm go build -trimpath -ldflags="-s -w" -o build/stock/app.wasm ./worker/bench/stock

build/peer/worker.mjs: worker/bench/peer/worker.ts worker/bench/peer/node_modules/.package-lock.json build/worker.mjs
	@node_modules/@esbuild/*/bin/esbuild $< --bundle --minify --format=esm --target=es2022 --conditions=workerd,worker,browser --log-level=warning --outfile=$@

worker/bench/peer/node_modules/.package-lock.json: worker/bench/peer/package.json worker/bench/peer/package-lock.json | tools
	@cd worker/bench/peer && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Inlining makes a call 11 % cheaper in WebAssembly, in the packages that each call goes through. Elsewhere it buys nothing
# that can be measured, and costs 110 KB of the upload. The last pattern that fits a package counts.
cold := crypto/... math/big fmt time mime mime/multipart net/netip mcp-credential-broker/broker/...
hot := crypto/tls crypto/x509 crypto/mlkem crypto/hpke $(addprefix mcp-credential-broker/broker/,strictjson sts vouch upstream mcp grant oauth memo secret)
inlining := $(foreach p,$(cold),-gcflags=$(p)=-l) $(foreach p,$(hot),-gcflags=$(p)=)

# put-policy FOLDER: the operator's document as a module. No file is no policy, also when there was one before.
put-policy = if [ -f policy.json ]; then cp policy.json $(1)/policy.txt; else : > $(1)/policy.txt; fi

# build-worker FOLDER,TAGS: the assets generator empties the folder first, so that nothing old is left in it.
define build-worker
	@echo "Compiling the Worker into $(1) (a minute or two the first time) ..."
	@go tool workers-assets-gen -mode=go -o $(1)
	@rm $(1)/worker.mjs $(1)/runtime.mjs
	@GOOS=js GOARCH=wasm .ci/dots go build -trimpath -buildvcs=false $(inlining) -tags "$(2)" -ldflags="-s -w -X mcp-credential-broker/broker.commit=$(commit)" -o $(1)/app.wasm ./worker || { echo "The Worker does not compile; the compiler's words are above."; exit 1; }
	@cp worker/*.mjs $(1)/
	@$(call put-policy,$(1))
	@echo "$(commit)" > $(1)/commit
endef
