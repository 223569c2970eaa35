/** The few lines of the Redis protocol that tests need to talk to a server without the client that is under test. */

import net from 'node:net';
import tls from 'node:tls';

/** A reply, decoded. */
export type RespValue = string | number | null | RespValue[];

export interface RespOptions {
  /** Over TLS, with these options. */
  readonly tls?: tls.ConnectionOptions;
  /** Longest silence of the server; 10 s unless said otherwise. */
  readonly timeoutMs?: number;
}

/** Sends one command over a connection of its own and returns the reply. An error reply is thrown. */
export async function respCommand(
  port: number,
  args: readonly string[],
  options?: RespOptions,
): Promise<RespValue> {
  const [reply] = await respCommands(port, [args], options);
  if (reply instanceof Error) throw reply;
  return reply!;
}

/** Sends commands at once over one connection and returns their replies, of which some may be errors. */
export function respCommands(
  port: number,
  commands: readonly (readonly string[])[],
  options: RespOptions = {},
): Promise<(RespValue | Error)[]> {
  return new Promise((resolve, reject) => {
    const target = { port, host: '127.0.0.1' };
    const socket =
      options.tls === undefined ? net.connect(target) : tls.connect({ ...target, ...options.tls });
    const replies: (RespValue | Error)[] = [];
    let received = Buffer.alloc(0);
    const finish = (settle: () => void): void => {
      socket.destroy();
      settle();
    };
    socket.setTimeout(options.timeoutMs ?? 10_000, () =>
      finish(() => reject(new Error(`no reply to ${commands[replies.length]?.[0]} on port ${port}`))),
    );
    socket.on('error', (error: Error) => finish(() => reject(error)));
    socket.on('end', () =>
      finish(() => reject(new Error(`port ${port} closed the connection before it replied`))),
    );
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      let offset = 0;
      for (;;) {
        const reply = decode(received, offset);
        if (reply === undefined) break;
        offset = reply.end;
        replies.push(reply.value);
      }
      received = received.subarray(offset);
      if (replies.length >= commands.length) finish(() => resolve(replies));
    });
    socket.write(commands.map(encode).join(''));
  });
}

/** Sends bytes, and returns what came until the server closed, or fell silent. */
export function exchange(
  port: number,
  bytes: string | Buffer,
  silenceMs = 300,
): Promise<{ text: string; closed: boolean }> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    let text = '';
    const finish = (closed: boolean) => {
      socket.destroy();
      resolve({ text, closed });
    };
    socket.setTimeout(silenceMs, () => finish(false));
    socket.on('error', () => finish(true));
    socket.on('end', () => finish(true));
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.write(bytes);
  });
}

function encode(args: readonly string[]): string {
  const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`);
  return `*${args.length}\r\n${parts.join('')}`;
}

/** The value at `offset` and where it ends; undefined while it is incomplete. */
function decode(buffer: Buffer, offset: number): { value: RespValue | Error; end: number } | undefined {
  const lineEnd = buffer.indexOf('\r\n', offset);
  if (lineEnd < 0) return undefined;
  const kind = String.fromCharCode(buffer[offset]!);
  const line = buffer.toString('utf8', offset + 1, lineEnd);
  const end = lineEnd + 2;
  if (kind === '+') return { value: line, end };
  if (kind === '-') return { value: new Error(line), end };
  if (kind === ':') return { value: Number(line), end };
  const length = Number(line);
  if (length < 0) return { value: null, end };
  if (kind === '$') return decodeBulk(buffer, end, length);
  if (kind === '*') return decodeArray(buffer, end, length);
  return { value: new Error(`unknown reply ${kind}${line}`), end };
}

function decodeBulk(
  buffer: Buffer,
  start: number,
  length: number,
): { value: string; end: number } | undefined {
  const end = start + length + 2;
  return buffer.length < end ? undefined : { value: buffer.toString('utf8', start, start + length), end };
}

function decodeArray(
  buffer: Buffer,
  start: number,
  length: number,
): { value: RespValue[]; end: number } | undefined {
  const value: RespValue[] = [];
  let end = start;
  for (let index = 0; index < length; index += 1) {
    const item = decode(buffer, end);
    if (item === undefined) return undefined;
    value.push(item.value instanceof Error ? item.value.message : item.value);
    end = item.end;
  }
  return { value, end };
}
