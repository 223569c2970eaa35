/** The Redis protocol under hostile bytes: nothing breaks, nothing is issued that was not asked for, memory stays. */

import net from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProtocolError, RequestParser } from '../../src/server/resp/request-parser.js';
import { respCommand } from '../support/resp.js';
import { randomised, seed } from '../support/runs.js';
import { type StartedServer, startServer } from '../support/started-server.js';

const maxBytes = 4_096;

/** Commands and parts of them, broken and whole, with anything in between. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '*1\r\n',
        '*2\r\n',
        '*-1\r\n',
        '*99\r\n',
        '$4\r\n',
        '$0\r\n\r\n',
        '$-1\r\n',
        '\r\n',
        '\n',
      ),
      fc.constantFrom('PING\r\n', 'INCR a\r\n', 'MULTI\r\n', 'GET a\r\n', 'ECHO 3\r\n', 'INCRBY a 7\r\n'),
      fc.constantFrom('*2\r\n$4\r\nINCR\r\n$1\r\na\r\n', '*1\r\n$4\r\nPING\r\n', '*0\r\n'),
      fc.string({ maxLength: 20 }),
      fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Buffer.from(parts.join(''), 'latin1'));
const cuts = fc.array(fc.nat(64), { maxLength: 6 });

/** What a parser makes of bytes that come in pieces. */
function parsed(
  bytes: Buffer,
  sizes: readonly number[],
): { commands: (readonly string[])[]; refused: boolean } {
  const parser = new RequestParser(maxBytes);
  const commands: (readonly string[])[] = [];
  let at = 0;
  try {
    for (const size of [...sizes, bytes.length]) {
      parser.push(bytes.subarray(at, at + size));
      at += size;
      for (let command = parser.next(); command !== undefined; command = parser.next())
        commands.push(command);
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { commands, refused: true };
  }
  return { commands, refused: false };
}

describe(`hostile bytes, seed ${seed}`, () => {
  it('in pieces mean what they mean whole', () => {
    fc.assert(
      fc.property(hostile, cuts, (bytes, sizes) => {
        expect(parsed(bytes, sizes)).toEqual(parsed(bytes, []));
      }),
      randomised,
    );
  });

  it('every command that is written well is read', () => {
    const words = fc.array(fc.string({ unit: 'binary', maxLength: 30 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(words, { maxLength: 5 }), cuts, (commands, sizes) => {
        const well = commands.map((command) => command.map((word) => word.toWellFormed()));
        const text = well.map(
          (command) =>
            `*${command.length}\r\n${command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`,
        );
        expect(parsed(Buffer.from(text.join('')), sizes)).toEqual({ commands: well, refused: false });
      }),
      randomised,
    );
  });

  describe('sent to a server', () => {
    let server: StartedServer;
    beforeAll(async () => {
      server = await startServer({ limits: { maxRequestBytes: maxBytes, requestTimeoutMs: 500 } });
    });
    afterAll(() => server.stop());

    it('as many numbers are issued as commands that ask for one were read', async () => {
      const port = server.port('resp');
      await fc.assert(
        fc.asyncProperty(hostile, async (bytes) => {
          const before = Number((await respCommand(port, ['GET', 'a'])) ?? 0);
          const replies = await replied(port, bytes);
          const after = Number((await respCommand(port, ['GET', 'a'])) ?? 0);
          // Replies to INCR and INCRBY of this connection; nobody else sends any.
          const numbers = [...replies.matchAll(/^:(\d+)\r$/gm)].map(([, number]) => Number(number));
          const last = numbers.filter((number) => number > before).at(-1) ?? before;
          expect(after).toBe(last);
        }),
        { ...randomised, numRuns: Math.min(randomised.numRuns, 200) },
      );
    });
  });
});

/** Everything that comes back until the server ends the connection. */
function replied(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
    socket.setTimeout(5_000, () => socket.destroy(new Error('the server does not end the connection')));
    socket.end(bytes);
  });
}
