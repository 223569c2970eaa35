/**
 * Writers that store messages slowly and out of order, and a reader that misses none of them.
 *
 *   node reader.mjs write g1 alice 20   stores 20 messages
 *   node reader.mjs read g1             prints all messages in order, and goes on until it is ended
 *
 * Start as many of each as you like. REDIS_URL and MYSQL_URL come from the environment.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import mysql from 'mysql2/promise';
import { groupChat, openTidemark, TidemarkError } from 'tidemark';

/** Longer than it ever takes to store a message. Two seconds only because nobody likes to wait for an example. */
const leaseMs = 2_000;
const pollMs = 100;

const sequences = openTidemark({ redis: process.env.REDIS_URL, mysql: process.env.MYSQL_URL, leaseMs });
const db = mysql.createPool({ uri: process.env.MYSQL_URL, connectionLimit: 8 });
await db.query(`CREATE TABLE IF NOT EXISTS chat (
  conversation VARBINARY(600) NOT NULL,
  number       BIGINT         NOT NULL,
  text         TEXT CHARACTER SET utf8mb4 NOT NULL,
  PRIMARY KEY (conversation, number)
) ENGINE = InnoDB`);

/** Stores one message. Readers do not go past its number before it is there. */
async function write(of, text) {
  let stored;
  for (;;) {
    const take = await patiently(() => sequences.take(of));
    // What makes messages arrive out of order: checks, attachments, a slow database.
    await sleep(Math.random() * 400);
    if (stored === undefined)
      await db.execute('INSERT INTO chat VALUES (?, ?, ?)', [of.key, take.first, text]);
    else await renumber(of, stored, take.first);
    stored = take.first;
    try {
      // Only now, when it is committed.
      await patiently(() => take.settle());
      return;
    } catch (error) {
      if (!(error instanceof TidemarkError) || error.code !== 'lease_expired') throw error;
      // This process was held up for longer than its lease, so readers may have gone past the number. Once more, behind them.
    }
  }
}

async function renumber(of, before, after) {
  const sql = 'UPDATE chat SET number = ? WHERE conversation = ? AND number = ?';
  await db.execute(sql, [after, of.key, before]);
}

/** Everything behind `position`, as far as it is complete. */
async function read(of, position) {
  // In this order: what is complete now is in what the query finds.
  const upTo = await sequences.completeUpTo(of);
  // After a failover it may be lower than it was. There is nothing new then.
  if (upTo <= position) return { position, messages: [] };
  const sql =
    'SELECT number, text FROM chat WHERE conversation = ? AND number > ? AND number <= ? ORDER BY number';
  const [messages] = await db.execute(sql, [of.key, position, upTo]);
  return { position: upTo, messages };
}

/** A store may be away for a while. */
async function patiently(run) {
  for (;;) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof TidemarkError) || !error.retryable) throw error;
      await sleep(pollMs);
    }
  }
}

async function writeAll(of, name, count) {
  const messages = Array.from({ length: count }, (_, index) => `${name} ${index + 1}`);
  await Promise.all(
    messages.map(async (text) => {
      await sleep(Math.random() * 60 * count);
      await write(of, text);
    }),
  );
}

async function readAll(of, isOver) {
  for (let position = 0; !isOver(); await sleep(pollMs)) {
    const next = await patiently(() => read(of, position));
    for (const { number, text } of next.messages) console.log(`${number} ${text}`);
    position = next.position;
  }
}

const [what, group, name, count] = process.argv.slice(2);
let isOver = false;
process.once('SIGTERM', () => {
  isOver = true;
});
if (what === 'write') await writeAll(groupChat(group), name, Number(count));
else await readAll(groupChat(group), () => isOver);
await sequences.close();
await db.end();
