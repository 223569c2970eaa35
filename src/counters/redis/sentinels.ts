import { RedisConnection } from './connection.js';
import { isPermissionError, unavailable, unsupported } from './failures.js';
import { type Address, addressText, isAddress, mapped } from './node-settings.js';
import type { SentinelTarget } from './targets.js';

/** Sentinels that are remembered. */
const maxSentinels = 100;

/** What one sentinel said: the primary, or that it knows none of that name, or why it said nothing. */
type Answer = { readonly address: Address | undefined } | { readonly failure: unknown };

/**
 * Sentinels, all asked at once. They need not agree, and some may be away: what most of those say counts that answer.
 */
export class Sentinels {
  readonly #target: SentinelTarget;
  readonly #known = new Map<string, Address>();
  readonly #connections = new Map<string, RedisConnection>();
  #asked = 0;
  #isClosed = false;

  constructor(target: SentinelTarget) {
    this.#target = target;
    for (const address of target.sentinels) this.#known.set(addressText(address), address);
  }

  /** @throws TidemarkError `counter_unavailable`, `counter_unsupported` */
  async findPrimary(): Promise<Address> {
    const answers = await this.#ask();
    const ranked = rank(answers);
    const most = ranked.filter(({ votes }) => votes === ranked[0]!.votes);
    this.#asked += 1;
    // Of several that are named as often, another one each time: a wrong one is found out when it is connected to.
    const chosen = most[this.#asked % most.length];
    if (chosen !== undefined) return mapped(this.#target.addressMap, chosen.address);
    throw this.#failure(answers);
  }

  /** Another primary than this one, as {@link findPrimary} gave it, if more than half of those that answer name one. */
  async otherPrimary(than: Address): Promise<Address | undefined> {
    const answers = await this.#ask();
    const [first] = rank(answers);
    const naming = answers.filter((answer) => 'address' in answer && answer.address !== undefined).length;
    if (first === undefined || first.votes * 2 <= naming) return undefined;
    const address = mapped(this.#target.addressMap, first.address);
    return addressText(address) === addressText(than) ? undefined : address;
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections.values()) connection.destroy(new Error('closed'));
    this.#connections.clear();
  }

  /** The answers of all; without those that take longer, once more than half of all say the same. */
  #ask(): Promise<readonly Answer[]> {
    const asked = [...this.#known.values()].map((address) => this.#askOne(address));
    const answers: Answer[] = [];
    return new Promise((resolve) => {
      const add = (answer: Answer): void => {
        answers.push(answer);
        const votes = rank(answers)[0]?.votes ?? 0;
        if (answers.length === asked.length || votes * 2 > asked.length) resolve([...answers]);
      };
      for (const answer of asked) void answer.then(add);
    });
  }

  async #askOne(address: Address): Promise<Answer> {
    try {
      const connection = await this.#connection(address);
      const reply = await connection.call(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.#target.name]);
      return { address: addressOf(reply) };
    } catch (failure) {
      return { failure };
    }
  }

  async #connection(address: Address): Promise<RedisConnection> {
    const name = addressText(address);
    const known = this.#connections.get(name);
    if (known?.end === undefined && known !== undefined) return known;
    const connection = await RedisConnection.open(this.#target.sentinelAt(address), () => undefined);
    if (this.#isClosed) {
      connection.destroy(new Error('closed'));
      throw new Error('closed');
    }
    this.#connections.get(name)?.destroy(new Error('replaced'));
    this.#connections.set(name, connection);
    await this.#learn(connection);
    return connection;
  }

  /** Remembers the sentinels that this one knows, so that it matters less which of them were given. */
  async #learn(connection: RedisConnection): Promise<void> {
    const reply = await connection.call(['SENTINEL', 'SENTINELS', this.#target.name]).catch(() => undefined);
    for (const fields of Array.isArray(reply) ? (reply as unknown[]) : []) {
      const address = addressOf([fieldOf(fields, 'ip'), fieldOf(fields, 'port')]);
      if (address === undefined || this.#known.size >= maxSentinels) continue;
      const reached = mapped(this.#target.addressMap, address);
      this.#known.set(addressText(reached), reached);
    }
  }

  #failure(answers: readonly Answer[]): Error {
    const { endpoint, name } = this.#target;
    if (answers.some((answer) => 'address' in answer))
      return unavailable(endpoint, new Error(`no sentinel knows a primary by the name of ${name}`));
    const failures = answers.flatMap((answer) => ('failure' in answer ? [answer.failure] : []));
    const forbidden = failures.find(isPermissionError) as Error | undefined;
    if (forbidden !== undefined) {
      const advice =
        'allow the user of the sentinels +sentinel|get-master-addr-by-name and +sentinel|sentinels';
      return unsupported(
        endpoint,
        `does not tell this user the primary (${forbidden.message}); ${advice}`,
        forbidden,
      );
    }
    return unavailable(endpoint, failures[0] ?? new Error('no sentinel answered'));
  }
}

/** The addresses that were named, most often first. */
function rank(answers: readonly Answer[]): readonly { readonly address: Address; readonly votes: number }[] {
  const votes = new Map<string, { readonly address: Address; votes: number }>();
  for (const answer of answers) {
    if (!('address' in answer) || answer.address === undefined) continue;
    const name = addressText(answer.address);
    const known = votes.get(name);
    if (known === undefined) votes.set(name, { address: answer.address, votes: 1 });
    else known.votes += 1;
  }
  return [...votes.values()].sort((one, other) => other.votes - one.votes);
}

function addressOf(reply: unknown): Address | undefined {
  if (!Array.isArray(reply) || reply.length !== 2) return undefined;
  const [host, port] = reply as unknown[];
  const address = { host, port: typeof port === 'string' && /^\d{1,5}$/.test(port) ? Number(port) : port };
  return isAddress(address) ? address : undefined;
}

/** A field of a flat list of names and values. */
function fieldOf(fields: unknown, name: string): unknown {
  if (!Array.isArray(fields)) return undefined;
  const at = (fields as unknown[]).findIndex((field, index) => index % 2 === 0 && field === name);
  return at < 0 ? undefined : (fields as unknown[])[at + 1];
}
