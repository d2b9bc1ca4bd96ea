-- The tables of format 1, as the first version made them.
CREATE TABLE message (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    received INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    due INTEGER,
    finished INTEGER,
    tries INTEGER NOT NULL DEFAULT 0,
    uncertain INTEGER NOT NULL DEFAULT 0,
    account TEXT,
    client TEXT NOT NULL,
    addr TEXT NOT NULL,
    listener TEXT NOT NULL,
    helo TEXT NOT NULL,
    sender TEXT NOT NULL,
    size INTEGER NOT NULL,
    repairs TEXT NOT NULL,
    notice INTEGER NOT NULL,
    trouble TEXT
) STRICT;
CREATE INDEX message_state ON message (state, id, size);
CREATE INDEX message_due ON message (due) WHERE due IS NOT NULL;
CREATE INDEX message_finished ON message (state, finished) WHERE finished IS NOT NULL;
CREATE TABLE recipient (
    seq INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
    place INTEGER NOT NULL,
    address TEXT NOT NULL,
    outcome TEXT NOT NULL,
    at INTEGER,
    text TEXT,
    PRIMARY KEY (seq, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE content (
    seq INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    sum INTEGER NOT NULL,
    head BLOB NOT NULL,
    spool TEXT,
    spool_len INTEGER,
    spool_sum INTEGER,
    body BLOB
) STRICT;
CREATE INDEX content_spool ON content (spool) WHERE spool IS NOT NULL;
PRAGMA application_id = 1497979464;
PRAGMA user_version = 1;
