# `make` lists what there is to do. A machine needs Go, Python 3 with pip, git
# and make; everything else is fetched, pinned and checked by the targets below.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The version that a release carries; empty for a build from the tree.
VERSION ?=
# How many packages are tested at once. Many of them start Envoys.
TEST_PACKAGES ?= 2
TEST_FLAGS ?=

TOOL := go tool -modfile=$(CURDIR)/tools/go.mod
BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X github.com/smi-project/smi/internal/cli.version=$(VERSION)'
# Every module but those that only name programs of others. Asked for when it is needed.
MODULES = $(shell find . -name go.mod -not -path '*/testdata/*' -not -path './tools/go.mod' -not -path './test/cluster/components/*' -exec dirname {} \; | sort)
# The Envoy that tests run, unless ENVOY names another.
WITH_ENVOY = export ENVOY="$${ENVOY:-$$(tools/envoy.sh path)}"
# The API server and the Helm that tests run, unless these name others.
WITH_KUBERNETES = export HELM="$${HELM:-$(CURDIR)/bin/helm}"; \
	export KUBEBUILDER_ASSETS="$${KUBEBUILDER_ASSETS:-$$(bin/cluster assets)}"

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: envoy build ## Run the bookstore on this machine, its traffic and its rules
	@bin/smi demo

.PHONY: build
build: ## Build bin/smi, and bin/smi-sample, which the demo runs
	@$(BUILD) -o bin/smi ./cmd/smi
	@$(BUILD) -o bin/smi-sample ./examples/sample

# The systems that smi is built for.
CROSS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64

.PHONY: cross
cross: ## Build smi for the other systems that it runs on, into dist/
	@for target in $(CROSS); do \
		os=$${target%/*} arch=$${target#*/}; \
		out=dist/smi-$$os-$$arch; [ $$os != windows ] || out=$$out.exe; \
		echo "building $$out"; GOOS=$$os GOARCH=$$arch $(BUILD) -o $$out ./cmd/smi; \
	done

# Where images will be pulled from: they are named REGISTRY/smi:VERSION and so on.
REGISTRY ?= localhost
IMAGE := (cd tools/image && go build -trimpath -buildvcs=false -o $(CURDIR)/bin/image .) && bin/image
# $(call build-images,FOLDER,ARCHITECTURES,FLAGS) builds the programs, finds Envoy
# and packs both. The tool is given programs, so that $(BUILD) stands here alone.
define build-images
@envoys=(); for arch in $(2); do \
	GOOS=linux GOARCH=$$arch $(BUILD) -o $(1)/programs/linux-$$arch/ ./cmd/smi ./examples/sample; \
	envoy=$$(tools/envoy.sh image $$arch); envoys+=(--arch "$$arch" --envoy "$$arch=$$envoy"); \
done; \
$(IMAGE) smi --version "$(or $(VERSION),dev)" --registry "$(REGISTRY)" --programs $(1)/programs "$${envoys[@]}" $(3) -o $(1)
endef

.PHONY: images
images: ## Build the container images for amd64 and arm64 into dist/images
	$(call build-images,dist/images,amd64 arm64)

.PHONY: images-local
images-local: ## Build the images for this machine alone, not compressed, into dist/images-local
	$(call build-images,dist/images-local,$$(go env GOARCH),--fast)

.PHONY: image-pins
image-pins: ## Take the current release of the Debian packages whose files are in images
	@list=$$($(IMAGE) pin); printf '%s\n' "$$list" >tools/image/internal/debian/packages.txt

.PHONY: tools
tools: ## Fetch every supported Envoy, unless it is here already
	@tools/envoy.sh fetch

.PHONY: envoy
envoy: ## Fetch one Envoy, unless ENVOY or PATH has one
	@tools/envoy.sh ensure

.PHONY: test
test: tools bin/cluster bin/helm ## Run all tests, with real Envoys and API servers
	@$(WITH_ENVOY); $(WITH_KUBERNETES); go test -timeout 30m -p $(TEST_PACKAGES) $(TEST_FLAGS) $$(go list ./... | grep -v /test/live)
	@# These put load on their Envoys, so nothing else runs beside them.
	@$(WITH_ENVOY); $(WITH_KUBERNETES); go test -timeout 30m $(TEST_FLAGS) ./test/live/...
	@# A result that was kept does not know files of another module, so it is not used.
	@$(WITH_ENVOY); for module in $(filter-out .,$(MODULES)); do \
		(cd $$module && go test -count=1 -timeout 30m -p $(TEST_PACKAGES) $(TEST_FLAGS) ./...); \
	done

.PHONY: race
race: tools bin/cluster bin/helm ## Run all tests with the race detector (needs a C compiler)
	@$(WITH_ENVOY); $(WITH_KUBERNETES); CGO_ENABLED=1 go test -race -timeout 30m -p $(TEST_PACKAGES) $(TEST_FLAGS) ./...

.PHONY: golden
golden: bin/helm ## Write the expected outputs anew; read the difference before you commit it
	@go test ./internal/compile/... ./internal/render/... ./docs -update
	@go test ./internal/inject -run TestGolden -update
	@HELM="$${HELM:-$(CURDIR)/bin/helm}" go test ./test/chart -run TestManifests -update

.PHONY: e2e
e2e: envoy build ## Run the demo, and the mesh on a real cluster, from end to end
	@bin/smi demo
	@tools/e2e.sh -v -short

.PHONY: e2e-full
e2e-full: envoy build ## As e2e, with the tests that take long
	@bin/smi demo
	@tools/e2e.sh -v

# Who runs the conformance suite, for the signed statement.
BY ?= make conformance

.PHONY: conformance
conformance: envoy build ## Run the conformance suite on this machine, sign and verify its report
	@tools/conformance.sh dist/conformance "$(BY)"

.PHONY: cluster
cluster: bin/cluster ## Start a Kubernetes of one node on this machine (Linux, root; built the first time)
	@bin/cluster up
	@echo 'export KUBECONFIG='"$$(bin/cluster kubeconfig)"' PATH='"$$(bin/cluster path)"':$$PATH'

.PHONY: cluster-down
cluster-down: bin/cluster ## Remove that Kubernetes and everything of it but what was built
	@bin/cluster down

# The go command knows better than make what has changed.
.PHONY: bin/cluster
bin/cluster:
	@cd test/cluster && CGO_ENABLED=0 go build -trimpath -o ../../bin/cluster .

.PHONY: bin/helm
bin/helm:
	@cd test/cluster/components/helm && CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags '-s -w' -o ../../../../bin/helm helm.sh/helm/v4/cmd/helm

.PHONY: chart
chart: bin/helm ## Check the Helm chart; package it and render plain manifests into dist/
	@HELM="$${HELM:-$(CURDIR)/bin/helm}" VERSION="$(VERSION)" REGISTRY="$(REGISTRY)" tools/chart.sh dist

.PHONY: mutants
mutants: envoy ## Break one rule at a time and see that the conformance suite notices
	@$(WITH_ENVOY); go run ./test/mutants

.PHONY: mutants-table
mutants-table: envoy ## As mutants, and write docs/conformance-mutants.md anew
	@$(WITH_ENVOY); go run ./test/mutants -table docs/conformance-mutants.md

.PHONY: bench
bench: envoy bin/cluster ## Measure scale and latency
	@$(WITH_ENVOY); $(WITH_KUBERNETES); cd bench && go run .

.PHONY: lint
lint: ## Check style, layers, known vulnerabilities and go.mod
	@tools/lint.sh $(MODULES)

.PHONY: generate
generate: ## Write deep copies, CustomResourceDefinitions and the table of rules anew
	@tools/generate.sh

.PHONY: verify-generated
verify-generated: ## Fail if generated files are not current
	@tools/generate.sh --verify

.PHONY: clean
clean: ## Remove what was built
	@rm -rf bin dist
