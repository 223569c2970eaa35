-- Words that are removed are frozen; a history may have several generations, and under a new name it has those of the old one.
-- Only MariaDB knows ADD COLUMN IF NOT EXISTS. So the statement that adds a column is made where it is missing, and this
-- file can run again like the others.

SET @tidemark_statement = IF(
  (SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'tidemark_ledger' AND column_name = 'frozen_until_ms') = 0,
  'ALTER TABLE tidemark_ledger ADD COLUMN frozen_until_ms BIGINT NOT NULL DEFAULT 0',
  'DO 0');
PREPARE tidemark_statement FROM @tidemark_statement;
EXECUTE tidemark_statement;
DEALLOCATE PREPARE tidemark_statement;

-- When a process last said that it lives in the generation.
SET @tidemark_statement = IF(
  (SELECT COUNT(*) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'tidemark_generations' AND column_name = 'seen_at_ms') = 0,
  'ALTER TABLE tidemark_generations ADD COLUMN seen_at_ms BIGINT NOT NULL DEFAULT 0',
  'DO 0');
PREPARE tidemark_statement FROM @tidemark_statement;
EXECUTE tidemark_statement;
DEALLOCATE PREPARE tidemark_statement;

ALTER TABLE tidemark_generations
  DROP PRIMARY KEY, ADD PRIMARY KEY (generation, history),
  DROP INDEX tidemark_generations_history, ADD INDEX tidemark_generations_history (history);
