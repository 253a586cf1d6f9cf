# Everything is here and runs without a question: `make` lists it.

DOCS ?= docs
# Of other documentation the name in wrangler.toml holds, unless one is given.
PRODUCT ?= $(if $(filter-out docs,$(DOCS)),,docent)
PORT ?= 8787
CLOUD_PORT ?= 8788
BASE_URL ?= http://127.0.0.1:$(CLOUD_PORT)/docs/

.PHONY: help run why test eval fmt lint bench clean

help:
	@echo "make run     answer from DOCS=$(DOCS) on http://127.0.0.1:$(PORT)/"
	@echo "             PRODUCT=<name>  what the documentation is about"
	@echo "             LLM=<url>       an OpenAI-compatible server writes the answers"
	@echo "             MODEL=<folder>  a BERT embedding model finds the pages"
	@echo "             BASE_URL=<url>  where the pages are published; default: served by this machine"
	@echo "             PORT=<n> CLOUD_PORT=<n>  other ports than 8787 and 8788"
	@echo "make why     list what was asked of the bot of make run"
	@echo "             ID=<id>         tell how that answer came about"
	@echo "             ARGS=<options>  such as --unanswered; docs/why.md lists them"
	@echo "make test    test and lint everything, as CI does"
	@echo "make eval    measure the answers about this documentation; the report is target/eval/report.html"
	@echo "make fmt     format the code"
	@echo "make lint    check formatting, clippy and rustdoc"
	@echo "make bench   measure turns, splitting, ingest and the widget beside others, and retrieval where a collection is at hand"
	@echo "make clean   remove everything that was built, installed or kept in this folder"

run:
	@scripts/setup.sh run
	@scripts/build-worker.sh
	@cargo build -p docent-ingest -p docent-local $(if $(MODEL),--features docent-local/bert)
	@target/debug/docent-local serve --worker worker/build --docs "$(DOCS)" --state .docent/state \
	  --port $(PORT) --cloud-port $(CLOUD_PORT) \
	  $(if $(PRODUCT),--var "PRODUCT=$(PRODUCT)") $(if $(LLM),--llm "$(LLM)") $(if $(MODEL),--model "$(MODEL)") \
	  -- target/debug/docent ingest "$(DOCS)" --base-url "$(BASE_URL)" --site plain --create-index \
	  --allow vanished,navigation,spec,rolled-back

why:
	@CLOUDFLARE_ACCOUNT_ID=local CLOUDFLARE_API_TOKEN=local target/debug/docent why $(ID) $(ARGS) \
	  --api-base http://127.0.0.1:$(CLOUD_PORT)/client/v4 --kv-id docent \
	  $(if $(shell grep '^database_id' wrangler.toml),,--d1-id docent)

# Lints last: a test that fails is the news to hear first.
test:
	@scripts/setup.sh test
	scripts/build-worker.sh
	cargo test
	@$(MAKE) --no-print-directory eval
	@$(MAKE) --no-print-directory lint

eval:
	@scripts/setup.sh run
	@scripts/build-worker.sh
	@cargo build -q -p docent-eval
	target/debug/docent-eval lint tests/eval/questions.yaml --docs docs
	@mkdir -p target/eval
	target/debug/docent-eval run --questions tests/eval/questions.yaml --local docs --out target/eval/answers.jsonl --overwrite
	target/debug/docent-eval report target/eval/answers.jsonl --html target/eval/report.html
	target/debug/docent-eval gate target/eval/answers.jsonl --gates tests/eval/gate.toml
	target/debug/docent-eval retrieval --docs docs --questions tests/eval/questions.yaml --out target/eval/retrieval
	target/debug/docent-eval gate target/eval/retrieval/docs-dense.jsonl --gates tests/eval/gate-retrieval.toml

fmt:
	cargo fmt --all

lint:
	@scripts/setup.sh lint
	cargo fmt --all --check
	cargo clippy --workspace --exclude docent-bench --all-targets -- -D warnings
	scripts/clippy-worker.sh
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --workspace

bench:
	@scripts/setup.sh run
	scripts/build-worker.sh
	cargo bench -p docent-tests --bench turn --profile dev
	cargo bench -p docent-tests --bench citations --profile dev
	cargo run -q -p docent-eval -- retrieval --docs docs --questions tests/eval/questions.yaml \
	  $(wildcard ../shared/data/uv-docs)
	cargo bench -p docent-bench --bench split
	cargo build -p docent-ingest
	cargo bench -p docent-tests --bench growth --profile dev
	@scripts/setup.sh test
	cargo bench -p docent-tests --bench widget --profile dev

clean:
	rm -rf target worker/build node_modules .docent .wrangler
