/** Tidemark in its ways to be used, every option at its default unless said otherwise. */

import { type Conversation, groupChat } from '../../src/core/conversation.js';
import type { ClientSetup } from './messages.js';
import { named } from './names.js';
import type { Peer } from './peers.js';

/** Aging asks for blocks far faster than any real use, so calls may wait for the ledger. */
const agingTimeoutMs = 60_000;
/** How long receipts are kept here, in milliseconds. */
const benchWindowMs = 10_000;
/** More than a conversation uses in that time. */
const messageIdsPerConversation = 65_536;

interface Generator {
  next(of: Conversation): Promise<number>;
  nextMany(of: Conversation, count: number, options: { timeoutMs: number }): Promise<{ last: number }>;
  close(): Promise<void>;
}

/** Over Redis and MySQL or MariaDB. */
export async function tidemark({ conversations, redisUrl, mysqlUrl }: ClientSetup): Promise<Peer> {
  const { openTidemark } = await import('../../src/open.js');
  const { onEvent, takeEvents } = eventCounter();
  const generator = openTidemark({ redis: redisUrl, mysql: mysqlUrl!, onEvent });
  const { of, ...peer } = generatorPeer(generator, conversations);
  return { ...peer, next: (index) => generator.next(of(index)), takeEvents };
}

/** Every call names a message of its own. */
export async function withMessageIds({ conversations, redisUrl, mysqlUrl }: ClientSetup): Promise<Peer> {
  const { openTidemark } = await import('../../src/open.js');
  const { onEvent, takeEvents } = eventCounter();
  // Receipts of a run take memory until they expire, as they do in use: not for ten minutes here.
  const options = { redis: redisUrl, mysql: mysqlUrl!, onEvent, messageIdWindowMs: benchWindowMs };
  const generator = openTidemark(options);
  const { of, ...peer } = generatorPeer(generator, conversations);
  // Made before, as they come with the messages: a conversation uses them in turn.
  const messageIds = Array.from({ length: messageIdsPerConversation }, (_, id) => `message-${id}`);
  const sent = new Uint32Array(conversations);
  const next = (index: number) => {
    const messageId = messageIds[sent[index]! % messageIdsPerConversation]!;
    sent[index]! += 1;
    return generator.next(of(index), { messageId });
  };
  return { ...peer, next, takeEvents };
}

/** Every number is settled as soon as it is there; a call ends with that. */
export async function tracked({ conversations, redisUrl, mysqlUrl }: ClientSetup): Promise<Peer> {
  const { openTidemark } = await import('../../src/open.js');
  const { onEvent, takeEvents } = eventCounter();
  const generator = openTidemark({ redis: redisUrl, mysql: mysqlUrl!, onEvent });
  const { of, ...peer } = generatorPeer(generator, conversations);
  const next = async (index: number) => {
    const take = await generator.take(of(index));
    await take.settle();
    return take.first;
  };
  return { ...peer, next, takeEvents };
}

/** Without servers. */
export async function embedded({ conversations, folder }: ClientSetup): Promise<Peer> {
  const { openEmbedded } = await import('../../src/open.js');
  const { onEvent, takeEvents } = eventCounter();
  const generator = await openEmbedded({ folder, onEvent });
  const { of, ...peer } = generatorPeer(generator, conversations);
  return { ...peer, next: (index) => generator.next(of(index)), takeEvents };
}

function generatorPeer(generator: Generator, conversations: number) {
  const of = named(conversations, (index) => groupChat(`g${index}`));
  return {
    of,
    nextMany: (index: number, count: number) =>
      generator.nextMany(of(index), count, { timeoutMs: agingTimeoutMs }),
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
