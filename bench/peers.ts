/** What is measured: Tidemark, and what most people use today. */

import { createClient } from 'redis';
import { type Conversation, groupChat } from '../src/core/conversation.js';
import type { ClientSetup } from './messages.js';

/** Something that issues numbers. Conversations are named by their index. */
export interface Peer {
  next(index: number): Promise<number | { readonly number: number }>;
  nextMany(index: number, count: number): Promise<unknown>;
  /** How often something noteworthy happened since the last call, by name. */
  takeEvents(): Record<string, number>;
  close(): Promise<void>;
}

/** Preparation asks for blocks far faster than any real use, so calls may wait for the ledger. */
const preparationTimeoutMs = 60_000;
/** How long receipts are kept here, in milliseconds. */
const benchWindowMs = 10_000;
/** More than a conversation uses in that time. */
const messageIdsPerConversation = 65_536;

const makePeer = {
  tidemark,
  // The same: that it is a cluster is in the URL.
  cluster: tidemark,
  embedded,
  'message-ids': withMessageIds,
  tracked,
  incr,
};

export type PeerName = keyof typeof makePeer;

export function openPeer(setup: ClientSetup): Promise<Peer> {
  return makePeer[setup.peer](setup);
}

/** Tidemark over Redis and MySQL or MariaDB, every option at its default. */
async function tidemark({ conversations, redisUrl, mysqlUrl }: ClientSetup): Promise<Peer> {
  const { openTidemark } = await import('../src/open.js');
  const { onEvent, takeEvents } = eventCounter();
  const generator = openTidemark({ redis: redisUrl, mysql: mysqlUrl!, onEvent });
  return { ...generatorPeer(generator, conversations), takeEvents };
}

/** The same, and every call names a message of its own. */
async function withMessageIds({ conversations, redisUrl, mysqlUrl }: ClientSetup): Promise<Peer> {
  const { openTidemark } = await import('../src/open.js');
  const { onEvent, takeEvents } = eventCounter();
  // Receipts of a run take memory until they expire, as they do in use: not for ten minutes here.
  const options = { redis: redisUrl, mysql: mysqlUrl!, onEvent, messageIdWindowMs: benchWindowMs };
  const generator = openTidemark(options);
  const { named, ...peer } = generatorPeer(generator, conversations, 'ids-');
  // Made before, as they come with the messages: a conversation uses them in turn.
  const messageIds = Array.from({ length: messageIdsPerConversation }, (_, id) => `message-${id}`);
  const sent = new Uint32Array(conversations);
  const next = (index: number) => {
    const messageId = messageIds[sent[index]! % messageIdsPerConversation]!;
    sent[index]! += 1;
    return generator.next(named[index]!, { messageId });
  };
  return { ...peer, next, takeEvents };
}

/** The same, and every number is settled as soon as it is there; a call ends with that. */
async function tracked({ conversations, redisUrl, mysqlUrl }: ClientSetup): Promise<Peer> {
  const { openTidemark } = await import('../src/open.js');
  const { onEvent, takeEvents } = eventCounter();
  const generator = openTidemark({ redis: redisUrl, mysql: mysqlUrl!, onEvent });
  const { named, ...peer } = generatorPeer(generator, conversations, 'tracked-');
  const next = async (index: number) => {
    const take = await generator.take(named[index]!);
    await take.settle();
    return take.first;
  };
  return { ...peer, next, takeEvents };
}

/** Tidemark without servers, every option at its default. */
async function embedded({ conversations, folder }: ClientSetup): Promise<Peer> {
  const { openEmbedded } = await import('../src/open.js');
  const { onEvent, takeEvents } = eventCounter();
  const generator = await openEmbedded({ folder, onEvent });
  return { ...generatorPeer(generator, conversations), takeEvents };
}

interface Generator {
  next(of: Conversation): Promise<number>;
  nextMany(of: Conversation, count: number, options: { timeoutMs: number }): Promise<unknown>;
  close(): Promise<void>;
}

function generatorPeer(generator: Generator, conversations: number, prefix = '') {
  const named = Array.from({ length: conversations }, (_, index) => groupChat(`${prefix}g${index}`));
  return {
    named,
    next: (index: number) => generator.next(named[index]!),
    nextMany: (index: number, count: number) =>
      generator.nextMany(named[index]!, count, { timeoutMs: preparationTimeoutMs }),
    close: () => generator.close(),
  };
}

function eventCounter() {
  let events: Record<string, number> = {};
  return {
    onEvent: ({ type }: { readonly type: string }) => {
      events[type] = (events[type] ?? 0) + 1;
    },
    takeEvents: () => {
      const taken = events;
      events = {};
      return taken;
    },
  };
}

/**
 * INCR with node-redis at its best: one client that pipelines by itself, and no timer for each command, which would cost
 * a factor of six.
 */
async function incr({ conversations, redisUrl }: ClientSetup): Promise<Peer> {
  // node-redis wants the key with nothing in it, which its types do not allow under our compiler settings.
  const commandOptions = { timeout: undefined } as unknown as { timeout: number };
  const client = createClient({ url: redisUrl, commandOptions });
  client.on('error', () => undefined);
  await client.connect();
  const keys = Array.from({ length: conversations }, (_, index) => `incr:{group:g${index}}`);
  return {
    next: (index) => client.incr(keys[index]!),
    nextMany: (index, count) => client.incrBy(keys[index]!, count),
    takeEvents: () => ({}),
    close: async () => client.destroy(),
  };
}
