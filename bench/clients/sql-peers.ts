/** Numbers out of MySQL or MariaDB without a Redis. */

import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { createPool, type ResultSetHeader } from 'mysql2/promise';
import { Random } from '../../test/support/random.js';
import type { ClientSetup } from './messages.js';
import { named } from './names.js';
import type { Peer } from './peers.js';

const require = createRequire(import.meta.url);
const connectionLimit = 10;
/** As in the package's own example. */
const sequenceBlockSize = 1_000;

/** One row for each conversation, raised by each call: the usual way. */
export async function mysqlRow({ conversations, mysqlUrl }: ClientSetup): Promise<Peer> {
  const pool = createPool({ uri: mysqlUrl!, connectionLimit });
  await pool.query(
    'CREATE TABLE numbers (conversation VARBINARY(600) PRIMARY KEY, n BIGINT NOT NULL) ENGINE = InnoDB',
  );
  const name = named(conversations, (index) => `group:g${index}`);
  const sql =
    'INSERT INTO numbers VALUES (?, LAST_INSERT_ID(1)) ON DUPLICATE KEY UPDATE n = LAST_INSERT_ID(n + 1)';
  return {
    next: async (index) => (await pool.execute<ResultSetHeader>(sql, [name(index)]))[0].insertId,
    close: () => pool.end(),
  };
}

interface Sequence {
  readonly next: number;
  readonly remaining: number;
}

interface SequenceDriver {
  allocate(options: { name: string; size: number }, done: (error: unknown, block: Sequence) => void): void;
  close(done: (error: unknown) => void): void;
}

type OpenDriver = (
  options: object,
  opened: (error: Error | undefined, driver: SequenceDriver) => void,
) => void;

/**
 * The driver block-sequence-mysql allocates blocks. The package that hands out their numbers, block-sequence, is not in the
 * registry any more, so this does it: from memory until the block is used up.
 */
export async function blockSequence({ conversations, mysqlUrl, seed }: ClientSetup): Promise<Peer> {
  const openDriver = require('block-sequence-mysql') as OpenDriver;
  const { hostname: host, port, username: user, pathname } = new URL(mysqlUrl!);
  const driver = await new Promise<SequenceDriver>((resolve, reject) => {
    const options = { host, port: Number(port), user, database: pathname.slice(1), connectionLimit };
    openDriver(options, (error, opened) => (error ? reject(error) : resolve(opened)));
  });
  const allocate = promisify(driver.allocate);
  const name = named(conversations, (index) => `group:g${index}`);
  const nextNumber = new Float64Array(conversations);
  const remaining = new Uint32Array(conversations);
  const allocations = new Map<number, Promise<void>>();
  const random = new Random(seed);
  const refill = async (index: number) => {
    const block = await allocate({ name: name(index), size: sequenceBlockSize });
    // Of its first block a conversation has used some, so that not all need another one at the same moment.
    const used = nextNumber[index] === 0 ? random.uint32() % block.remaining : 0;
    nextNumber[index] = block.next + used;
    remaining[index] = block.remaining - used;
    allocations.delete(index);
  };
  return {
    next: async (index) => {
      while (remaining[index] === 0) {
        const allocation = allocations.get(index) ?? refill(index);
        allocations.set(index, allocation);
        await allocation;
      }
      remaining[index]! -= 1;
      const number = nextNumber[index]!;
      nextNumber[index] = number + 1;
      return number;
    },
    close: () => promisify(driver.close)(),
  };
}
