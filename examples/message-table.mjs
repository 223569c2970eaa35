/**
 * A message table whose rows carry their sequence numbers, behind HTTP. A request may be repeated any number of times, to
 * any process: the message has one row, and one number.
 *
 *   POST /g1/messages  {"id": "m1", "text": "hello"}   ->  {"number": 1, "id": "m1", "text": "hello"}
 *   GET  /g1/messages?from=1&to=100                    ->  what is stored of these numbers, in order
 *   GET  /g1/gaps?from=1&to=100                        ->  which of them may be missing, and why
 *   GET  /g1/current                                   ->  {"number": 1}, the last number that was issued
 *
 * REDIS_URL, MYSQL_URL and PORT come from the environment. A client that gets no answer, or one of 500 and more, sends the
 * same request again.
 */

import http from 'node:http';
import mysql from 'mysql2/promise';
import { groupChat, openTidemark, TidemarkError } from 'tidemark';

const sequences = openTidemark({ redis: process.env.REDIS_URL, mysql: process.env.MYSQL_URL });
const db = mysql.createPool({ uri: process.env.MYSQL_URL, connectionLimit: 8 });

// Binary columns: `a` and `A`, and `a` with a space behind it, are different ids here as they are for Tidemark.
await db.query(`CREATE TABLE IF NOT EXISTS messages (
  conversation VARBINARY(600) NOT NULL,
  number       BIGINT         NOT NULL,
  message_id   VARBINARY(255) NOT NULL,
  text         TEXT CHARACTER SET utf8mb4 NOT NULL,
  PRIMARY KEY (conversation, number),
  UNIQUE KEY (conversation, message_id)
) ENGINE = InnoDB`);

/** Gives the message its number and stores it, in one request. Repeating it is harmless at every point. */
async function store(of, id, text) {
  // A message that is sent again long after its first time: the table remembers longer than the receipt does.
  const known = await find(of, id);
  if (known !== undefined) return known;
  const { number } = await sequences.next(of, { messageId: id });
  try {
    await db.execute('INSERT INTO messages VALUES (?, ?, ?, ?)', [of.key, number, id, text]);
    return { number, id, text };
  } catch (error) {
    if (error.code !== 'ER_DUP_ENTRY') throw error;
    // The same request in another process was faster.
    const stored = await find(of, id);
    if (stored === undefined) throw new Error(`number ${number} of ${of.key} is another message's`);
    return stored;
  }
}

async function find(of, id) {
  const sql = 'SELECT number, message_id, text FROM messages WHERE conversation = ? AND message_id = ?';
  const [rows] = await db.execute(sql, [of.key, id]);
  return rows.map(toMessage)[0];
}

async function range(of, from, to) {
  const sql =
    'SELECT number, message_id, text FROM messages WHERE conversation = ? AND number BETWEEN ? AND ? ORDER BY number';
  const [rows] = await db.execute(sql, [of.key, from, to]);
  return rows.map(toMessage);
}

function toMessage({ number, message_id, text }) {
  return { number, id: String(message_id), text };
}

async function gaps(of, from, to) {
  const recorded = await sequences.gaps(of, { from, to });
  // An age instead of a time: the client's clock may be wrong.
  return recorded.map(({ recordedAtMs, ...gap }) => ({
    ...gap,
    ageMs: Math.max(0, Date.now() - recordedAtMs),
  }));
}

async function answer(request) {
  const url = new URL(request.url, 'http://localhost');
  const [, group, what] = url.pathname.split('/');
  const of = groupChat(decodeURIComponent(group));
  const from = Number(url.searchParams.get('from') ?? 1);
  const to = Number(url.searchParams.get('to') ?? from + 199);
  switch (`${request.method} ${what}`) {
    case 'POST messages': {
      const { id, text } = JSON.parse(Buffer.concat(await request.toArray()).toString());
      return store(of, String(id), String(text));
    }
    case 'GET messages':
      return range(of, from, to);
    case 'GET gaps':
      return gaps(of, from, to);
    case 'GET current':
      return { number: await sequences.current(of) };
    default:
      return undefined;
  }
}

const server = http.createServer(async (request, response) => {
  let status = 200;
  const body = await answer(request).catch((error) => {
    const isRefused = error instanceof SyntaxError || (error instanceof TidemarkError && !error.retryable);
    status = isRefused ? 400 : 503;
    return { error: error.message };
  });
  response.writeHead(body === undefined ? 404 : status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body ?? { error: 'no such path' }));
});
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});

process.once('SIGTERM', async () => {
  server.close();
  server.closeAllConnections();
  await sequences.close();
  await db.end();
});
