/** Who may do what: clients, known by tokens that are kept as hashes only. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { Conversation } from '../core/conversation.js';
import { TidemarkError } from '../errors.js';
import { type CallLimitOptions, CallLimits } from './limits.js';

/** What a client may do: take numbers, look at them, or change what others rely on. */
export const rights = ['issue', 'read', 'admin'] as const;
export type Right = (typeof rights)[number];

/** A client as the clients file describes it. */
export interface ClientOptions extends CallLimitOptions {
  /** Of `a`–`z`, `0`–`9`, `_`, `-` and `.`; stands in logs and metrics. */
  readonly name: string;
  /** SHA-256 of its token, as 64 hexadecimal digits. `tidemark token` makes both. */
  readonly tokenSha256: string;
  readonly rights: readonly Right[];
  /** What its conversations begin with, such as `group:` or `private:alice:`; all where it is missing. */
  readonly conversations?: readonly string[];
}

/** Somebody who calls the server, with what it may do and how often. */
export class Client {
  readonly name: string;
  readonly limits: CallLimits;
  readonly #rights: ReadonlySet<Right>;
  readonly #conversations: readonly string[] | undefined;

  constructor(options: Omit<ClientOptions, 'tokenSha256'>) {
    this.name = options.name;
    this.limits = new CallLimits(options.name, options);
    this.#rights = new Set(options.rights);
    this.#conversations = options.conversations;
  }

  /** @throws TidemarkError `permission_denied` */
  check(right: Right, of: Conversation | undefined): void {
    if (!this.#rights.has(right)) {
      throw new TidemarkError(
        'permission_denied',
        `the client ${this.name} has no right to ${right}; give it that right in the clients file, or use another token`,
        of === undefined ? {} : { conversation: of.key },
      );
    }
    if (this.#conversations === undefined || of === undefined) return;
    for (const start of this.#conversations) if (of.key.startsWith(start)) return;
    throw new TidemarkError(
      'permission_denied',
      `the client ${this.name} may not use the conversation ${of.key}; add its beginning to the client's conversations`,
      { conversation: of.key },
    );
  }
}

interface Known {
  readonly hash: Buffer;
  readonly client: Client;
}

/** The clients that a server knows. A reload replaces them all; connections keep the client that they began with. */
export class Access {
  #known: readonly Known[] | undefined;
  /** Whoever calls a server without a clients file. */
  readonly #anybody: Client;

  /** @param clients - undefined: everybody may do everything, without a token */
  constructor(clients: readonly ClientOptions[] | undefined) {
    this.#anybody = new Client({ name: 'anybody', rights });
    if (clients !== undefined) this.replace(clients);
  }

  get needsToken(): boolean {
    return this.#known !== undefined;
  }

  replace(clients: readonly ClientOptions[]): void {
    this.#known = clients.map((options) => ({
      hash: Buffer.from(options.tokenSha256, 'hex'),
      client: new Client(options),
    }));
  }

  /**
   * The client of a token. Hashes are compared in constant time, and with every client, so that nothing can be learned from
   * how long it takes.
   *
   * @throws TidemarkError `unauthenticated`
   */
  clientOf(token: string | undefined): Client {
    if (this.#known === undefined) return this.#anybody;
    if (token === undefined) throw unauthenticated('a token is needed; send one that the clients file names');
    const hash = hashOf(token);
    let found: Client | undefined;
    for (const known of this.#known) if (timingSafeEqual(known.hash, hash)) found = known.client;
    if (found === undefined)
      throw unauthenticated('the token is not known here; send one that the clients file names');
    return found;
  }

  /** The client of an `Authorization` header. */
  clientOfHeader(header: string | undefined): Client {
    if (header === undefined) return this.clientOf(undefined);
    const [, token] = /^bearer +(\S{1,512})$/i.exec(header) ?? [];
    if (token === undefined && this.needsToken)
      throw unauthenticated('the header Authorization must be "Bearer" and a token');
    return this.clientOf(token);
  }
}

/** What is kept of a token: it is as long as chance itself, so its plain hash gives nothing away. */
export function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function unauthenticated(message: string): TidemarkError {
  return new TidemarkError('unauthenticated', message);
}
