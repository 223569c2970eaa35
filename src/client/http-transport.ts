/** Calls over HTTP and JSON, with connections that are kept. */

import http from 'node:http';
import https from 'node:https';
import type { Explanation } from '../core/explanations.js';
import type { Gap } from '../core/ledger.js';
import type { TidemarkError } from '../errors.js';
import {
  type Calls,
  type Effort,
  type Issued,
  type Method,
  type NextItem,
  NoAnswer,
  type Target,
  type Transport,
  toldError,
} from './transport.js';

/** Connections to one server. */
const maxConnections = 32;
const maxAnswerBytes = 16_777_216;

interface Problem {
  readonly code: string;
  readonly detail: string;
  readonly conversation?: string;
}

type Answer = Record<string, unknown>;

export class HttpTransport implements Transport {
  readonly #target: Target;
  readonly #agent: http.Agent;
  readonly #request: typeof http.request;

  constructor(target: Target) {
    this.#target = target;
    const isSecure = target.url.protocol === 'https:';
    const options = { keepAlive: true, maxSockets: maxConnections, noDelay: true };
    this.#agent = isSecure ? new https.Agent({ ...options, ...target.tls }) : new http.Agent(options);
    this.#request = isSecure ? https.request : http.request;
  }

  async next(items: readonly NextItem[], effort: Effort): Promise<readonly (Issued | TidemarkError)[]> {
    const answer = await this.#ask('POST', 'next', { items: items.map(itemOf) }, effort);
    return (answer['items'] as (Issued | { problem: Problem })[]).map((item) => {
      return 'problem' in item ? told(item.problem) : item;
    });
  }

  async call<M extends Method>(
    method: M,
    conversation: string,
    ask: Calls[M]['ask'],
    effort: Effort,
  ): Promise<Calls[M]['answer']> {
    const route = routes[method] as Route<M>;
    const [verb, path, body] = route.request(ask);
    const answer = await this.#ask(
      verb,
      `conversations/${encodeURIComponent(conversation)}/${path}`,
      body,
      effort,
    );
    return route.answer(answer);
  }

  close(): void {
    this.#agent.destroy();
  }

  #ask(verb: string, path: string, body: object | undefined, { timeoutMs, signal }: Effort): Promise<Answer> {
    const { url, token } = this.#target;
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = {
      'Tidemark-Timeout-Ms': String(timeoutMs),
      ...(bytes !== undefined && { 'Content-Type': 'application/json', 'Content-Length': bytes.length }),
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    };
    return new Promise((resolve, reject) => {
      let wasSent = false;
      const failed = (reason: string) => reject(new NoAnswer(url, reason, wasSent));
      const address = new URL(`v1/${path}`, url);
      const request = this.#request(address, { method: verb, headers, agent: this.#agent, signal });
      request.on('socket', (socket) => {
        // One that is kept is connected; bytes may have left as soon as there is a connection.
        if (!socket.connecting) wasSent = true;
        else socket.once('connect', () => (wasSent = true));
      });
      request.on('error', (error: NodeJS.ErrnoException) => failed(error.code ?? 'unknown'));
      request.on('response', (response) => {
        collect(response).then(
          (text) => settle(response.statusCode ?? 0, text, resolve, reject, failed),
          () => failed('the answer broke off'),
        );
      });
      request.end(bytes);
    });
  }
}

function settle(
  status: number,
  text: string,
  resolve: (answer: Answer) => void,
  reject: (error: TidemarkError) => void,
  failed: (reason: string) => void,
): void {
  let answer: Answer;
  try {
    answer = JSON.parse(text) as Answer;
  } catch {
    failed(`status ${status}, and no JSON`);
    return;
  }
  if (status === 200) resolve(answer);
  else if (typeof answer['code'] === 'string') reject(told(answer as unknown as Problem));
  else failed(`status ${status}, from something that is not Tidemark`);
}

async function collect(response: http.IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response) {
    size += (piece as Buffer).length;
    if (size > maxAnswerBytes) throw new Error('too large');
    pieces.push(piece as Buffer);
  }
  return Buffer.concat(pieces).toString();
}

function told({ code, detail, conversation }: Problem): TidemarkError {
  return toldError(code, detail, conversation);
}

function itemOf({ conversation, count, messageId }: NextItem): object {
  return { conversation, ...askOf({ count, messageId }) };
}

function askOf({ count, messageId }: Calls['take']['ask']): object {
  return { count, ...(messageId !== undefined && { messageId }) };
}

interface Route<M extends Method> {
  request(ask: Calls[M]['ask']): readonly [verb: string, path: string, body?: object];
  answer(answer: Answer): Calls[M]['answer'];
}

const routes: { readonly [M in Method]: Route<M> } = {
  take: {
    request: (ask) => ['POST', 'takes', askOf(ask)],
    answer: (answer) => answer as unknown as Calls['take']['answer'],
  },
  settle: ending('settle'),
  abandon: ending('abandon'),
  renew: ending('renew'),
  current: { request: () => ['GET', 'current'], answer: ({ current }) => current as number },
  completeUpTo: {
    request: () => ['GET', 'complete-up-to'],
    answer: ({ completeUpTo }) => completeUpTo as number,
  },
  gaps: {
    request: ({ from, to, limit }) => ['GET', `gaps?from=${from}&to=${to}&limit=${limit}`],
    answer: ({ conversation, gaps }) => (gaps as Gap[]).map((gap) => gapOf(conversation, gap)),
  },
  explain: {
    request: (number) => ['GET', `numbers/${number}`],
    answer: ({ conversation, ...answer }) => {
      const explanation = answer as unknown as Explanation;
      if (explanation.status !== 'never_issued' && explanation.status !== 'uncertain') return explanation;
      const { gap } = explanation;
      const sinceMs = gap?.recordedAtMs;
      if (explanation.status === 'never_issued') return { ...explanation, gap: gapOf(conversation, gap!) };
      return { ...explanation, sinceMs, gap: gap === undefined ? undefined : gapOf(conversation, gap) };
    },
  },
};

function gapOf(conversation: unknown, gap: Gap): Gap {
  return { ...gap, conversation: conversation as string };
}

function ending<M extends 'settle' | 'abandon' | 'renew'>(path: M): Route<M> {
  return {
    request: ({ first, last }) => ['POST', `takes/${path}`, { first, last }],
    answer: () => undefined,
  };
}
