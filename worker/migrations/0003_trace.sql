-- How answers came about, for some days (TRACE_DAYS). The bot writes it, one row for each question, and
-- deletes what is too old with it; `docent why` reads it.
--
-- An id begins with its time, so the key alone finds a row, the latest rows and the oldest: no index
-- beside it, hence one row written where D1 would count two or three.

CREATE TABLE trace (
  -- The trace id that the client got: 12 hexadecimal digits of milliseconds since 1970, and 20 of chance.
  id TEXT PRIMARY KEY,
  -- JSON: the trace as docs/http-api.md describes it, without the texts of its candidates.
  record TEXT NOT NULL,
  -- What is asked for in SQL; computed, not stored.
  asked_at INTEGER AS (record ->> 'asked_at'),
  question TEXT AS (record ->> 'question'),
  message_id TEXT AS (record ->> 'message_id'),
  refused_by TEXT AS (record ->> 'refused_by'),
  error TEXT AS (record ->> 'error')
) WITHOUT ROWID;
