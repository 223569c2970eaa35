/** A peer that is measured: its servers, its meters, its client. */

import path from 'node:path';
import { packWord } from '../../src/core/counter-word.js';
import { wordKey } from '../../src/counters/redis/keys.js';
import type { MariaDbServer } from '../../test/support/servers.js';
import { ClientProcess } from '../clients/client-process.js';
import type { Client, ClientCommand } from '../clients/messages.js';
import { plainKey } from '../clients/names.js';
import { type PeerKind, peerKinds } from '../clients/peers.js';
import type { Distribution } from '../clients/picks.js';
import type { Figures, Footprint, PeerResult } from '../results.js';
import { writeCounters } from '../servers/bulk-words.js';
import { difference, Meters } from '../servers/meters.js';
import { type PeerServers, startPeerServers } from '../servers/peer-servers.js';
import { RedisBenchmark } from '../servers/redis-benchmark.js';
import { figuresOf, rounded } from '../summary.js';
import type { MeasuredName } from '../workloads.js';

/** Calls under way while every conversation is used once. */
export const passUnderWay = 1_000;
/** From so many on, counters are written in bulk. */
const bulkFrom = 1_000_000;
/** Of fewer conversations nobody can tell what each one takes. */
const fewestForFootprint = 1_000;
/** About what aging leaves behind, with a block that lasts for the rounds. */
const bulkWord = { last: 230, remaining: 4_000 };
/** Counters that can be written in bulk. */
export const bulkCounters: Partial<Record<MeasuredName, { key: (index: number) => string; value: string }>> =
  {
    incr: { key: plainKey, value: String(bulkWord.last) },
    // An empty Redis has the first generation.
    tidemark: { key: (index) => wordKey('seq', `group:g${index}`, 1), value: String(packWord(bulkWord)) },
  };

export interface PeerSetup {
  readonly name: MeasuredName;
  readonly conversations: number;
  readonly distribution: Distribution;
  readonly batch: number;
  readonly seed: number;
  readonly mariaDb: MariaDbServer | undefined;
  readonly folder: string;
  readonly profileFile: string | undefined;
}

export class Measured {
  readonly name: MeasuredName;
  readonly title: string;
  readonly conversations: number;
  readonly servers: PeerServers;
  readonly #maxUnderWay: number;
  readonly #client: Client;
  readonly #meters: Meters;
  #footprint: Footprint = {};
  #rounds: Figures[] = [];
  #events: Record<string, number> = {};

  private constructor(setup: PeerSetup, servers: PeerServers, client: Client, meters: Meters) {
    const { title, maxUnderWay } = limitsOf(setup.name);
    this.name = setup.name;
    this.title = title;
    this.conversations = conversationsOf(setup);
    this.servers = servers;
    this.#maxUnderWay = maxUnderWay;
    this.#client = client;
    this.#meters = meters;
  }

  static async start(setup: PeerSetup): Promise<Measured> {
    const servers = await startPeerServers(setup.name, setup.mariaDb);
    const client = await startClient(setup, servers);
    return new Measured(setup, servers, client, await Meters.open(servers));
  }

  /** One command, with what the servers did meanwhile. */
  async run(command: ClientCommand): Promise<Figures> {
    const before = await this.#meters.read();
    const underWay = 'underWay' in command ? { underWay: this.underWay(command.underWay) } : {};
    const client = await this.#client.run({ ...command, ...underWay });
    for (const [type, count] of Object.entries(client.events)) {
      this.#events[type] = (this.#events[type] ?? 0) + count;
    }
    return figuresOf(client, difference(await this.#meters.read(), before));
  }

  /** Takes a round into the result. */
  async round(command: ClientCommand): Promise<Figures> {
    const figures = await this.run(command);
    this.#rounds.push(figures);
    return figures;
  }

  /** Uses every conversation, and sees what that takes. */
  async fill(): Promise<void> {
    // The client first: then it is connected, and its connection is no conversation's.
    const before = { client: await this.#clientBytes(), redis: await this.#meters.redisBytes() };
    const bulk = this.conversations < bulkFrom ? undefined : bulkCounters[this.name];
    if (bulk !== undefined) {
      // The first conversation has its counter already.
      const range = { first: 1, end: this.conversations };
      await writeCounters(this.servers.redis[0]!.port, range, bulk.key, bulk.value);
    } else {
      await this.run({ command: 'pass', first: 0, count: this.conversations, underWay: passUnderWay });
      await this.run({ command: 'age' });
    }
    if (this.conversations < fewestForFootprint) return;
    // A client may hold less than before, when what it needed to start is gone.
    const each = (after: number | undefined, start: number | undefined) =>
      after === undefined || start === undefined
        ? undefined
        : rounded(Math.max(0, after - start) / this.conversations);
    const footprint = {
      redisBytes: each(await this.#meters.redisBytes(), before.redis),
      clientBytes: bulk !== undefined ? undefined : each(await this.#clientBytes(), before.client),
      ledgerBytes: bulk !== undefined ? undefined : each(await this.#meters.ledgerBytes(), 0),
    };
    this.#footprint = Object.fromEntries(
      Object.entries(footprint).filter(([, value]) => value !== undefined),
    );
  }

  underWay(wanted: number): number {
    return Math.min(wanted, this.#maxUnderWay);
  }

  /** What was measured since the last call; warming up does not count. */
  takeResult(underWay: number): PeerResult {
    const { title, conversations } = this;
    const rounds = this.#rounds;
    const events = this.#events;
    this.forget();
    return {
      title,
      conversations,
      underWay: this.underWay(underWay),
      rounds,
      footprint: this.#footprint,
      events,
    };
  }

  forget(): void {
    this.#rounds = [];
    this.#events = {};
  }

  async stop(): Promise<void> {
    await this.#client.close();
    await this.#meters.close();
    await this.servers.stop();
  }

  async #clientBytes(): Promise<number | undefined> {
    return (await this.#client.run({ command: 'connect' })).memoryBytes;
  }
}

async function startClient(setup: PeerSetup, servers: PeerServers): Promise<Client> {
  const { name, distribution, batch, seed, folder, profileFile } = setup;
  const conversations = conversationsOf(setup);
  if (name === 'redis-benchmark') return new RedisBenchmark(servers.redis[0]!.port, conversations);
  const { redisUrl, mysqlUrl } = servers;
  const ownFolder = path.join(folder, name);
  return ClientProcess.start({
    ...{ peer: name, conversations, distribution, batch, seed, profileFile },
    ...{ redisUrl, mysqlUrl, folder: ownFolder },
  });
}

function conversationsOf({ name, conversations }: PeerSetup): number {
  return Math.min(conversations, limitsOf(name).maxConversations);
}

function limitsOf(
  name: MeasuredName,
): Required<Pick<PeerKind, 'title' | 'maxUnderWay' | 'maxConversations'>> {
  const unlimited = { maxUnderWay: Number.POSITIVE_INFINITY, maxConversations: Number.POSITIVE_INFINITY };
  if (name === 'redis-benchmark') return { ...unlimited, title: 'redis-benchmark INCR' };
  return { ...unlimited, ...peerKinds[name] };
}
