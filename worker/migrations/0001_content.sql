-- The documentation as the bot knows it: what every generation of the index holds, and a full-text
-- index over it. `docent ingest` writes all of it.
--
-- A generation is what readers see from the moment it goes live until the next one does. Rows say
-- from which generation on they hold (born) and from which on no longer (died): a row belongs to
-- generation g when born <= g and (died IS NULL or died > g). So the next generation is written
-- beside the live one, unseen, and going live is one row.

CREATE TABLE generation (
  number INTEGER PRIMARY KEY,
  -- staging: being written; complete: can be live.
  status TEXT NOT NULL CHECK (status IN ('staging', 'complete')),
  -- Fingerprint of the embedding spec.
  spec TEXT NOT NULL,
  documents INTEGER NOT NULL DEFAULT 0,
  chunks INTEGER NOT NULL DEFAULT 0,
  -- Chunks that the generation before did not have, and chunks of it that are gone.
  added INTEGER NOT NULL DEFAULT 0,
  removed INTEGER NOT NULL DEFAULT 0,
  -- Vectors of this or an earlier generation that are not part of this one.
  retired INTEGER NOT NULL DEFAULT 0,
  -- Milliseconds since 1970.
  created_at INTEGER NOT NULL
);

-- The one generation that readers see.
CREATE TABLE live (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  generation INTEGER NOT NULL REFERENCES generation (number),
  -- Milliseconds since 1970.
  since INTEGER NOT NULL
);

-- The one ingest that may write.
CREATE TABLE lease (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  owner TEXT NOT NULL,
  -- For people: where it runs and since when.
  holder TEXT NOT NULL,
  -- Milliseconds since 1970.
  expires_at INTEGER NOT NULL
);

CREATE TABLE document (
  path TEXT NOT NULL,
  born INTEGER NOT NULL,
  died INTEGER,
  url TEXT NOT NULL,
  title TEXT NOT NULL,
  -- Of everything that its chunks are made from.
  hash TEXT NOT NULL,
  -- JSON: its chunks in page order, each [id, hash of the text that was embedded].
  chunks TEXT NOT NULL,
  PRIMARY KEY (path, born)
) WITHOUT ROWID;

-- A chunk never changes: another text is another id.
CREATE TABLE chunk (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  path TEXT NOT NULL,
  url TEXT NOT NULL,
  anchor TEXT NOT NULL,
  title TEXT NOT NULL,
  heading TEXT NOT NULL,
  lang TEXT NOT NULL,
  version TEXT NOT NULL,
  product TEXT NOT NULL,
  -- Markdown.
  text TEXT NOT NULL,
  -- Names that a word index would take apart: max_top_k, --flag-name, CamelCase, 3040.
  identifiers TEXT NOT NULL
);

CREATE TABLE chunk_life (
  chunk INTEGER NOT NULL REFERENCES chunk (number),
  born INTEGER NOT NULL,
  died INTEGER,
  PRIMARY KEY (chunk, born)
) WITHOUT ROWID;

CREATE VIRTUAL TABLE chunk_words USING fts5 (
  title, heading, text,
  content = 'chunk', content_rowid = 'number',
  tokenize = 'porter unicode61 remove_diacritics 2'
);

CREATE VIRTUAL TABLE chunk_identifiers USING fts5 (
  identifiers,
  content = 'chunk', content_rowid = 'number',
  tokenize = "unicode61 remove_diacritics 2 tokenchars '_-.:/@$#+'"
);

CREATE TRIGGER chunk_added AFTER INSERT ON chunk BEGIN
  INSERT INTO chunk_words (rowid, title, heading, text) VALUES (new.number, new.title, new.heading, new.text);
  INSERT INTO chunk_identifiers (rowid, identifiers) VALUES (new.number, new.identifiers);
END;

CREATE TRIGGER chunk_removed AFTER DELETE ON chunk BEGIN
  INSERT INTO chunk_words (chunk_words, rowid, title, heading, text)
    VALUES ('delete', old.number, old.title, old.heading, old.text);
  INSERT INTO chunk_identifiers (chunk_identifiers, rowid, identifiers)
    VALUES ('delete', old.number, old.identifiers);
END;

-- Going live is one row and one statement, so that it happens wholly or not at all.
CREATE TRIGGER first_live AFTER INSERT ON live BEGIN
  UPDATE generation SET status = 'complete' WHERE number = new.generation;
END;

CREATE TRIGGER next_live AFTER UPDATE ON live BEGIN
  UPDATE generation SET status = 'complete' WHERE number = new.generation;
END;
