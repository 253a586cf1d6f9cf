-- Answers that are given again to the same first question (CACHE_SECONDS). The bot writes them, and
-- deletes what is too old with each that it adds.

CREATE TABLE answer (
  -- Hash over everything that the answer depends on, but for the generation of the index.
  key TEXT PRIMARY KEY,
  -- Milliseconds since 1970.
  expires_at INTEGER NOT NULL,
  -- JSON: the answer with its sources, and the generation that it was made from.
  record TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX answer_by_expiry ON answer (expires_at);
