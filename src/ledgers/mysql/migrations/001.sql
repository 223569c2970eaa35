-- The tables of the ledger. Migrations are numbered and append-only: a released file never changes.
-- MySQL and MariaDB end a transaction at every CREATE TABLE, so a crash may leave this file half applied.
-- Every statement can therefore run again: CREATE TABLE IF NOT EXISTS, and the version is recorded last.
-- Conversations are bytes: with a text collation `Room`, `room` and `room ` would share one row (I9).

CREATE TABLE IF NOT EXISTS tidemark_schema (
  version       INT    NOT NULL,
  applied_at_ms BIGINT NOT NULL,
  PRIMARY KEY (version)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS tidemark_generations (
  generation       BIGINT         NOT NULL,
  history          VARBINARY(255) NOT NULL,
  registered_at_ms BIGINT         NOT NULL,
  PRIMARY KEY (generation),
  UNIQUE KEY tidemark_generations_history (history)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- `adoptions` counts how often another process finished the grant of this row's block. The counting is what makes an
-- adopted block durable before it is answered: see write.ts.
CREATE TABLE IF NOT EXISTS tidemark_ledger (
  conversation   VARBINARY(600) NOT NULL,
  `ceiling`      BIGINT         NOT NULL,
  `floor`        BIGINT         NOT NULL,
  generation     BIGINT         NOT NULL,
  block_size     BIGINT         NOT NULL,
  reserved_at_ms BIGINT         NOT NULL,
  adoptions      BIGINT         NOT NULL DEFAULT 0,
  PRIMARY KEY (conversation)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS tidemark_gaps (
  conversation   VARBINARY(600) NOT NULL,
  first_number   BIGINT         NOT NULL,
  last_number    BIGINT         NOT NULL,
  reason         VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  generation     BIGINT         NOT NULL,
  recorded_at_ms BIGINT         NOT NULL,
  PRIMARY KEY (conversation, first_number, last_number)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
