/**
 * One process that sends messages and reads, for the fault tests. Several of them send the same messages again: the id of
 * a message follows from the time, so processes meet without talking to each other. Writes what happens to a file, one
 * JSON object a line, before it goes on.
 */

import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { groupChat } from '../../src/core/conversation.js';
import type { TrackedTake } from '../../src/core/tracked-take.js';
import { TidemarkError } from '../../src/errors.js';
import { openTidemark } from '../../src/open.js';
import type { MessageRecord } from '../support/message-judge.js';
import { Random } from '../support/random.js';

export interface MessagesOptions {
  readonly redis: string;
  readonly mysql: string;
  readonly file: string;
  readonly seed: number;
  readonly conversations: number;
  readonly senders: number;
  readonly maxDurationMs: number;
  readonly leaseMs: number;
}

/** How long two message ids of a conversation are in use before the next two. */
const idPeriodMs = 500;

class Messages {
  readonly #options: MessagesOptions;
  readonly #random: Random;
  readonly #write: (record: object) => void;
  readonly #sequences: ReturnType<typeof openTidemark>;
  #endMs: number;

  constructor(options: MessagesOptions) {
    const file = openSync(options.file, 'a');
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#write = (record) => writeSync(file, `${JSON.stringify(record)}\n`);
    this.#sequences = openTidemark({
      redis: { url: options.redis, replyTimeoutMs: 1_000 },
      mysql: options.mysql,
      leaseMs: options.leaseMs,
      timeoutMs: 10_000,
      onEvent: (event) => this.#write({ event }),
    });
    this.#endMs = performance.now() + options.maxDurationMs;
    process.once('message', () => {
      this.#endMs = 0;
      process.disconnect();
    });
  }

  async run(): Promise<void> {
    const senders = Array.from({ length: this.#options.senders }, () => this.#repeat(() => this.#send()));
    await Promise.all([...senders, this.#repeat(() => this.#read()), this.#repeat(() => this.#read())]);
    await this.#sequences.close();
    if (process.connected) process.disconnect();
  }

  async #repeat(act: () => Promise<void>): Promise<void> {
    while (performance.now() < this.#endMs) {
      await act();
      await sleep(this.#random.below(15));
    }
  }

  async #send(): Promise<void> {
    const random = this.#random;
    const conversation = random.below(this.#options.conversations);
    const of = groupChat(`g${conversation}`);
    const tracked = conversation % 2 === 0;
    const messageId = tracked && random.chance(0.2) ? undefined : this.#messageId();
    const record = {
      ...{ conversation: of.key, messageId, start: nowMs(), end: 0, numbers: undefined, count: 1 },
      ...{
        repeated: false,
        storedAt: undefined,
        openUntil: undefined,
        abandonedAt: undefined,
        settled: undefined,
        tracked,
        callerDied: false,
      },
    };
    try {
      if (tracked) {
        const take = await this.#sequences.take(of, 1, messageId === undefined ? {} : { messageId });
        const { first, last, repeated, open } = take;
        const openUntil = open ? record.start + this.#options.leaseMs : undefined;
        await this.#store(take, { ...record, end: nowMs(), numbers: { first, last }, repeated, openUntil });
      } else {
        const { number, repeated } = await this.#sequences.next(of, { messageId: messageId! });
        this.#write({
          message: { ...record, end: nowMs(), numbers: { first: number, last: number }, repeated },
        });
      }
    } catch (error) {
      const code = error instanceof TidemarkError ? error.code : String(error);
      this.#write({ message: { ...record, end: nowMs() }, code });
    }
  }

  async #store(take: TrackedTake, message: MessageRecord): Promise<void> {
    const random = this.#random;
    this.#write({ message });
    await sleep(random.below(60));
    if (random.chance(0.03)) return;
    if (message.messageId === undefined && random.chance(0.1)) {
      const abandonedAt = nowMs();
      await take.abandon();
      this.#write({ message: { ...message, abandonedAt } });
      return;
    }
    const stored = { ...message, storedAt: nowMs() };
    this.#write({ message: stored });
    const as = await take.settle().then(
      () => 'done',
      (error: TidemarkError) => (error.code === 'lease_expired' ? 'told' : error.code),
    );
    this.#write({ message: { ...stored, settled: { as, at: nowMs() } } });
  }

  async #read(): Promise<void> {
    const of = groupChat(`g${2 * this.#random.below(this.#options.conversations / 2)}`);
    const completeUpTo = await this.#sequences.completeUpTo(of).catch(() => undefined);
    if (completeUpTo !== undefined)
      this.#write({ read: { conversation: of.key, end: nowMs(), completeUpTo } });
  }

  #messageId(): string {
    const random = this.#random;
    const period = Math.floor(nowMs() / idPeriodMs) - (random.chance(0.3) ? random.below(8) : 0);
    return `m${period}-${random.below(2)}`;
  }
}

/** One clock for all processes of the machine. */
function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

await new Messages(JSON.parse(process.argv[2]!) as MessagesOptions).run();
