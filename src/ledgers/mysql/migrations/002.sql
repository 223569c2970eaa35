-- Complete marks. A table of its own: marks rise with every settled take, and must not wait for reservations.
-- `raises` counts how often a mark was raised, or found high enough. The counting is what makes a mark durable before the
-- raise is answered: see complete-marks.ts.
CREATE TABLE IF NOT EXISTS tidemark_complete_marks (
  conversation   VARBINARY(600) NOT NULL,
  complete_up_to BIGINT         NOT NULL,
  raises         BIGINT         NOT NULL DEFAULT 0,
  PRIMARY KEY (conversation)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The same numbers may be missing for two reasons: unclaimed first, and given up later.
ALTER TABLE tidemark_gaps DROP PRIMARY KEY, ADD PRIMARY KEY (conversation, first_number, last_number, reason);
