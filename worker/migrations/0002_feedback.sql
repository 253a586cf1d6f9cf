-- What visitors think of answers, each with what it was about. The bot writes it; `docent ingest` never
-- touches it.

CREATE TABLE feedback (
  message_id TEXT PRIMARY KEY,
  -- When it was rated, milliseconds since 1970.
  at INTEGER NOT NULL,
  rating TEXT NOT NULL CHECK (rating IN ('up', 'down')),
  -- JSON: list of texts.
  reasons TEXT NOT NULL,
  comment TEXT NOT NULL,
  question TEXT NOT NULL,
  -- JSON: what was asked before in the same conversation, oldest first, as far as the bot was reminded of it.
  turns TEXT NOT NULL,
  answer TEXT NOT NULL,
  -- JSON: list of {n, title, heading, url}.
  sources TEXT NOT NULL,
  refused INTEGER NOT NULL,
  -- Empty when no model was asked.
  model TEXT NOT NULL
);

CREATE INDEX feedback_at ON feedback (at);
