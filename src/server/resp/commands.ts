/** What each command of the Redis protocol does here. */

import { maxCountPerCall } from '../../core/options.js';
import { printable } from '../../core/quote.js';
import type { Caller, Service } from '../service.js';
import type { ConversationKeys } from './keys.js';
import { refusalOf } from './refusals.js';
import {
  array,
  bulk,
  failure,
  failureOf,
  integer,
  map,
  missing,
  ok,
  type ProtocolVersion,
} from './replies.js';
import type { Command } from './request-parser.js';

/** What commands know and change of their connection. */
export interface Session {
  readonly id: number;
  /** Undefined until somebody has said who it is. */
  caller: Caller | undefined;
  protocol: ProtocolVersion;
  name: string;
  /** A MULTI was refused: what comes up to its EXEC is not run, because its sender will hear that all of it failed. */
  isDiscarding: boolean;
  /** Set by QUIT: nothing more is read, and the connection ends behind the reply. */
  isEnding: boolean;
  /** Keeps a place for a reply that is not ready, in the order of the commands. */
  reserve(): number;
  fill(place: number, reply: string): void;
  /** @throws TidemarkError `unauthenticated` */
  login(token: string): void;
  logout(): void;
}

/** What all connections share. */
export interface CommandContext {
  readonly service: Service;
  readonly keys: ConversationKeys;
  readonly version: string;
  readonly info: () => readonly (readonly [section: string, lines: readonly string[]])[];
}

/** A reply, one that comes later, or the place where it will be. */
type Reply = string | Promise<string> | number;

interface CommandSpec {
  /** Least and most words, with the name. */
  readonly words: readonly [number, number];
  readonly run: (context: CommandContext, session: Session, words: Command) => Reply;
}

const many = Number.POSITIVE_INFINITY;

/** The name of a command as it is known here, in capitals. */
export function nameOf(word: string): string {
  return Object.hasOwn(commands, word) ? word : word.slice(0, 64).toUpperCase();
}

/**
 * Commands that say what came before them: they wait for the replies to it, and what comes behind waits for theirs, so that a
 * pipeline means what it means in Redis. Numbers of one conversation are in order by themselves.
 */
export const looks: ReadonlySet<string> = new Set(['GET', 'MGET', 'EXISTS']);

const commands: Readonly<Record<string, CommandSpec>> = {
  INCR: { words: [2, 2], run: (context, session, [, key]) => increment(context, session, key!, 1) },
  INCRBY: {
    words: [3, 3],
    run: (context, session, [, key, text]) => {
      const count = /^\d{1,4}$/.test(text!) ? Number(text) : 0;
      if (count >= 1 && count <= maxCountPerCall) return increment(context, session, key!, count);
      return failure(
        `the increment must be a whole number from 1 to ${maxCountPerCall}: numbers never go back, and the reply is the last one of the range`,
      );
    },
  },
  GET: {
    words: [2, 2],
    run: async (context, session, [, key]) => valueReply(await current(context, session, key!), session),
  },
  MGET: {
    words: [2, many],
    run: async (context, session, [, ...keys]) => {
      const values = await Promise.all(keys.map((key) => current(context, session, key)));
      return array(values.map((value) => valueReply(value, session)));
    },
  },
  EXISTS: {
    words: [2, many],
    run: async (context, session, [, ...keys]) => {
      const values = await Promise.all(keys.map((key) => current(context, session, key)));
      return integer(values.filter((value) => value > 0).length);
    },
  },
  PING: {
    words: [1, 2],
    run: (_context, _session, [, text]) => (text === undefined ? '+PONG\r\n' : bulk(text)),
  },
  ECHO: { words: [2, 2], run: (_context, _session, [, text]) => bulk(text!) },
  QUIT: {
    words: [1, many],
    run: (_context, session) => {
      session.isEnding = true;
      return ok;
    },
  },
  SELECT: {
    words: [2, 2],
    run: (_context, _session, [, number]) =>
      number === '0' ? ok : failure('DB index is out of range: there is one database, 0'),
  },
  AUTH: { words: [2, 3], run: (_context, session, words) => authenticate(session, words.at(-1)!) },
  HELLO: { words: [1, many], run: hello },
  RESET: {
    words: [1, 1],
    run: (_context, session) => {
      session.logout();
      session.protocol = 2;
      session.name = '';
      return '+RESET\r\n';
    },
  },
  CLIENT: { words: [2, many], run: client },
  COMMAND: { words: [1, many], run: describeCommands },
  INFO: { words: [1, many], run: info },
  // redis-benchmark asks for two settings, and goes on without them.
  CONFIG: {
    words: [2, many],
    run: (_context, session, [, what]) =>
      what!.toUpperCase() === 'GET'
        ? map([], session.protocol)
        : failure('there are no settings to change here'),
  },
};

/** Commands that may come before a token. */
const open = new Set(['AUTH', 'HELLO', 'QUIT', 'RESET']);

/** Runs one command; its reply may come later. Never throws. */
export function runCommand(context: CommandContext, session: Session, name: string, words: Command): Reply {
  const spec = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (session.caller === undefined && !open.has(name))
    return failure('Authentication required: send AUTH and a token', 'NOAUTH');
  const discarded = discardReply(session, name);
  if (discarded !== undefined) return discarded;
  if (name === 'MULTI') session.isDiscarding = true;
  if (spec === undefined) return unknown(name, words[0]!);
  if (words.length < spec.words[0] || words.length > spec.words[1])
    return failure(`wrong number of arguments for '${name.toLowerCase()}' command`);
  try {
    const reply = spec.run(context, session, words);
    return reply instanceof Promise ? reply.catch(failureOf) : reply;
  } catch (error) {
    return failureOf(error);
  }
}

function endsTransaction(name: string): boolean {
  return name === 'EXEC' || name === 'DISCARD';
}

/** The reply to a command that belongs to a transaction; undefined for one that belongs to none. */
function discardReply(session: Session, name: string): string | undefined {
  const wasDiscarding = session.isDiscarding;
  if (name === 'QUIT' || name === 'RESET' || endsTransaction(name)) session.isDiscarding = false;
  if (name === 'EXEC')
    return wasDiscarding
      ? failure('Transaction discarded because MULTI is refused', 'EXECABORT')
      : failure('EXEC without MULTI');
  if (name === 'DISCARD') return wasDiscarding ? ok : failure('DISCARD without MULTI');
  if (!session.isDiscarding) return undefined;
  return failure(`${printable(name.toLowerCase())} is not run: MULTI was refused; send DISCARD to go on`);
}

function unknown(name: string, word: string): string {
  const reason = refusalOf(name);
  if (reason !== undefined) return failure(`${name} is refused: ${reason}`);
  return failure(
    `unknown command '${printable(word.slice(0, 64))}'; this is Tidemark, which issues sequence numbers`,
  );
}

function increment(context: CommandContext, session: Session, key: string, count: number): Reply {
  const of = context.keys.conversationOf(key);
  if (count > 1)
    return context.service.next(session.caller!, of.key, { count }).then(({ last }) => integer(last));
  const caller = session.caller!;
  const number = context.service.issueNow(caller, of);
  if (number !== undefined) return integer(number);
  const place = session.reserve();
  context.service.issueLater(
    caller,
    of,
    (later) => session.fill(place, integer(later)),
    (error) => session.fill(place, failureOf(error)),
  );
  return place;
}

function current(context: CommandContext, session: Session, key: string): Promise<number> {
  return context.service.currentOf(session.caller!, context.keys.conversationOf(key));
}

/** Redis has no counter before its first INCR. */
function valueReply(last: number, session: Session): string {
  return last === 0 ? missing(session.protocol) : bulk(String(last));
}

function authenticate(session: Session, token: string): string {
  try {
    session.login(token);
    return ok;
  } catch {
    return failure('the token is not known here; send one that the clients file names', 'WRONGPASS');
  }
}

function hello(context: CommandContext, session: Session, words: Command): string {
  let version = session.protocol;
  let at = 1;
  if (words.length > 1) {
    if (words[1] !== '2' && words[1] !== '3') return failure('unsupported protocol version', 'NOPROTO');
    version = words[1] === '3' ? 3 : 2;
    at = 2;
  }
  let name: string | undefined;
  while (at < words.length) {
    const option = words[at]!.toUpperCase();
    if (option === 'AUTH' && at + 2 < words.length) {
      const reply = authenticate(session, words[at + 2]!);
      if (reply !== ok) return reply;
      at += 3;
    } else if (option === 'SETNAME' && at + 1 < words.length) {
      name = words[at + 1]!;
      at += 2;
    } else return failure('syntax error in HELLO');
  }
  if (session.caller === undefined)
    return failure('HELLO must be called with AUTH and a token: HELLO 3 AUTH default <token>', 'NOAUTH');
  session.protocol = version;
  if (name !== undefined) {
    const reply = setName(session, name);
    if (reply !== ok) return reply;
  }
  return map(
    [
      ['server', bulk('redis')],
      ['version', bulk(redisVersion)],
      ['proto', integer(version)],
      ['id', integer(session.id)],
      ['mode', bulk('standalone')],
      ['role', bulk('master')],
      ['modules', array([])],
      ['tidemark', bulk(context.version)],
    ],
    version,
  );
}

/** What clients take it for, when they ask what they may send. */
export const redisVersion = '7.0.0';

function setName(session: Session, name: string): string {
  if (!/^[!-~]{0,128}$/.test(name)) return failure('a name has up to 128 printable characters, and no space');
  session.name = name;
  return ok;
}

function client(_context: CommandContext, session: Session, words: Command): string {
  switch (words[1]!.toUpperCase()) {
    case 'ID':
      return integer(session.id);
    case 'GETNAME':
      return session.name === '' ? missing(session.protocol) : bulk(session.name);
    case 'SETNAME':
      return words.length === 3 ? setName(session, words[2]!) : failure('CLIENT SETNAME needs one name');
    case 'SETINFO':
    case 'NO-EVICT':
    case 'NO-TOUCH':
      return ok;
    case 'INFO':
      return bulk(`id=${session.id} name=${session.name} resp=${session.protocol}\n`);
    default:
      return failure('this subcommand of CLIENT is not for a server that issues numbers');
  }
}

function describeCommands(_context: CommandContext, session: Session, words: Command): string {
  const names = Object.keys(commands);
  switch ((words[1] ?? 'INFO').toUpperCase()) {
    case 'COUNT':
      return integer(names.length);
    case 'DOCS':
      return map([], session.protocol);
    case 'LIST':
      return array(names.map((name) => bulk(name.toLowerCase())));
    case 'INFO':
      return array((words.length > 2 ? words.slice(2) : names).map((name) => describe(name, session)));
    default:
      return failure('this subcommand of COMMAND is not known');
  }
}

/** Name, arity, flags, first key, last key, step: what clients route by. */
function describe(name: string, session: Session): string {
  const upper = name.toUpperCase();
  const spec = Object.hasOwn(commands, upper) ? commands[upper] : undefined;
  if (spec === undefined) return session.protocol === 3 ? '_\r\n' : '*-1\r\n';
  const [least, most] = spec.words;
  const hasKeys = ['INCR', 'INCRBY', 'GET', 'MGET', 'EXISTS'].includes(upper);
  const writes = upper.startsWith('INCR');
  const lastKey = !hasKeys ? 0 : most === many ? -1 : 1;
  return array([
    bulk(name.toLowerCase()),
    integer(least === most ? least : -least),
    array(hasKeys ? [`+${writes ? 'write' : 'readonly'}\r\n`, '+fast\r\n'] : ['+fast\r\n']),
    integer(hasKeys ? 1 : 0),
    integer(lastKey),
    integer(hasKeys ? 1 : 0),
  ]);
}

function info(context: CommandContext, _session: Session, words: Command): string {
  const asked = new Set(words.slice(1).map((word) => word.toLowerCase()));
  const isAll = asked.size === 0 || ['all', 'default', 'everything'].some((word) => asked.has(word));
  const sections = context.info().filter(([name]) => isAll || asked.has(name.toLowerCase()));
  return bulk(sections.map(([name, lines]) => `# ${name}\r\n${lines.join('\r\n')}\r\n`).join('\r\n'));
}
