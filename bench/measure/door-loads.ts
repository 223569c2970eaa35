/** Clients of the gRPC and of the HTTP door, for some seconds each. All return numbers per second. */

import http from 'node:http';
import { create } from '@bufbuild/protobuf';
import { type ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import {
  type NextStreamRequest,
  NextStreamRequestSchema,
  type NextStreamResponse,
} from '../../src/contract/generated/tidemark_pb.js';
import { ask, connect } from '../../test/support/grpc-client.js';

const conversations = 100;
const unaryCallers = 256;
const itemsPerMessage = 128;
const messagesUnderWay = 8;
const httpCallers = { single: 64, batch: 16 };

export async function unaryPerSecond(port: number, seconds: number): Promise<number> {
  const client = connect(`127.0.0.1:${port}`);
  const perSecond = await looped(unaryCallers, seconds, async (caller) => {
    await ask(client, 'next', { conversation: nameOf(caller) });
    return 1;
  });
  client.close();
  return perSecond;
}

export function streamPerSecond(port: number, seconds: number): Promise<number> {
  const client = connect(`127.0.0.1:${port}`);
  const stream = (
    client as unknown as {
      nextStream(metadata: Metadata): ClientDuplexStream<NextStreamRequest, NextStreamResponse>;
    }
  ).nextStream(new Metadata());
  const items = Array.from({ length: itemsPerMessage }, (_, index) => {
    return { id: BigInt(index), conversation: nameOf(index) };
  });
  const message = create(NextStreamRequestSchema, { items });
  let numbers = 0;
  let asked = 0;
  const startedAtMs = performance.now();
  const untilMs = startedAtMs + seconds * 1_000;
  const more = () => {
    while (asked - numbers < messagesUnderWay * itemsPerMessage && performance.now() < untilMs) {
      stream.write(message);
      asked += itemsPerMessage;
    }
    if (asked === numbers) stream.end();
  };
  return new Promise((resolve, reject) => {
    stream.on('data', ({ results }: NextStreamResponse) => {
      numbers += results.length;
      more();
    });
    stream.on('error', reject);
    stream.on('end', () => {
      client.close();
      resolve((numbers * 1_000) / (performance.now() - startedAtMs));
    });
    more();
  });
}

export function singlePerSecond(port: number, seconds: number): Promise<number> {
  return posted(port, seconds, httpCallers.single, (caller) => {
    return { path: `/v1/conversations/${nameOf(caller)}/next`, body: {}, numbers: 1 };
  });
}

export function batchPerSecond(port: number, seconds: number): Promise<number> {
  const items = Array.from({ length: conversations }, (_, index) => ({ conversation: nameOf(index) }));
  return posted(port, seconds, httpCallers.batch, () => {
    return { path: '/v1/next', body: { items }, numbers: items.length };
  });
}

interface Post {
  readonly path: string;
  readonly body: object;
  readonly numbers: number;
}

async function posted(
  port: number,
  seconds: number,
  callers: number,
  postOf: (caller: number) => Post,
): Promise<number> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: callers });
  const posts = Array.from({ length: callers }, (_, caller) => postOf(caller));
  const bodies = posts.map(({ body }) => JSON.stringify(body));
  const perSecond = await looped(callers, seconds, async (caller) => {
    await post(agent, port, posts[caller]!.path, bodies[caller]!);
    return posts[caller]!.numbers;
  });
  agent.destroy();
  return perSecond;
}

function post(agent: http.Agent, port: number, path: string, body: string): Promise<void> {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const request = http.request(
      { host: '127.0.0.1', port, path, method: 'POST', agent, headers },
      (answer) => {
        answer.resume();
        answer.on('error', reject);
        answer.on('end', () =>
          answer.statusCode === 200 ? resolve() : reject(new Error(`${path} answered ${answer.statusCode}`)),
        );
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

/** Callers that ask again as soon as they have an answer. `call` returns how many numbers it got. */
async function looped(
  callers: number,
  seconds: number,
  call: (caller: number) => Promise<number>,
): Promise<number> {
  const startedAtMs = performance.now();
  const untilMs = startedAtMs + seconds * 1_000;
  let numbers = 0;
  const loop = async (_: unknown, caller: number) => {
    while (performance.now() < untilMs) {
      // Not in one statement: the sum would be read before the wait.
      const got = await call(caller);
      numbers += got;
    }
  };
  await Promise.all(Array.from({ length: callers }, loop));
  return (numbers * 1_000) / (performance.now() - startedAtMs);
}

function nameOf(index: number): string {
  return `group:g${index % conversations}`;
}
