/** One connection of the Redis protocol: bytes in, commands run, replies out in order. */

import { setMaxListeners } from 'node:events';
import type { Socket } from 'node:net';
import type { DoorContext } from '../door.js';
import type { Caller } from '../service.js';
import { type CommandContext, looks, nameOf, runCommand, type Session } from './commands.js';
import { failure, type ProtocolVersion, ReplyQueue } from './replies.js';
import { type Command, ProtocolError, RequestParser } from './request-parser.js';

/** How long a client may take to end its side, in milliseconds. */
const goodbyeMs = 1_000;

/** A web page can make a browser send these, and lines of its own behind them: nothing of it must be run. */
const httpWords: ReadonlySet<string> = new Set(['POST', 'HOST:']);

export class RespConnection implements Session {
  readonly id: number;
  caller: Caller | undefined;
  protocol: ProtocolVersion = 2;
  name = '';
  isEnding = false;
  isDiscarding = false;
  readonly #socket: Socket;
  readonly #door: DoorContext;
  readonly #commands: CommandContext;
  readonly #parser: RequestParser;
  readonly #replies: ReplyQueue;
  readonly #gone = new AbortController();
  /** Replies wait in the socket: nothing more is read until they are taken. */
  #isFull = false;
  /** A command that waits for the replies to those before it. */
  #held: Command | undefined;
  /** The last command that ran looks at what came before it; those behind it wait for its reply. */
  #isLooking = false;
  /** The client will send no more. */
  #hasEnded = false;
  /** When the last reply was written, and the connection ended on this side. */
  #finishedAtMs: number | undefined;
  /** Since when a command is not whole, by the monotonic clock; undefined while there is none. */
  #waitingSinceMs: number | undefined;

  constructor(id: number, socket: Socket, door: DoorContext, commands: CommandContext) {
    this.id = id;
    this.#socket = socket;
    this.#door = door;
    this.#commands = commands;
    this.#parser = new RequestParser(door.limits.maxRequestBytes);
    this.#replies = new ReplyQueue((text) => this.#write(text));
    // Every command under way may listen to it, which Node would take for a leak.
    setMaxListeners(0, this.#gone.signal);
    if (!door.access.needsToken) this.#enter(undefined);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      if (this.isEnding) return;
      this.#parser.push(chunk);
      this.#read();
    });
    socket.on('drain', () => {
      this.#isFull = false;
      this.#read();
    });
    // A client that ends its side still reads the replies to what it sent.
    socket.on('end', () => {
      this.#hasEnded = true;
      this.#read();
    });
    // What is wrong with it is told by close.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#gone.abort(new Error('the connection is closed')));
  }

  login(token: string): void {
    this.#enter(token);
  }

  reserve(): number {
    return this.#replies.reserve();
  }

  fill(place: number, reply: string): void {
    this.#replies.fill(place, reply);
  }

  logout(): void {
    this.caller = undefined;
    if (!this.#door.access.needsToken) this.#enter(undefined);
  }

  /** Reads no more commands, and closes behind the last reply. */
  end(): void {
    this.isEnding = true;
    if (this.#replies.length > 0) this.#socket.pause();
    else this.#finish();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Ends the connection of somebody who began a command long ago and does not go on. */
  checkPatience(nowMs: number): void {
    if (this.#finishedAtMs !== undefined && nowMs - this.#finishedAtMs > goodbyeMs) this.destroy();
    if (this.#waitingSinceMs === undefined || this.isEnding) return;
    if (nowMs - this.#waitingSinceMs < this.#door.limits.requestTimeoutMs) return;
    this.#refuse('slow', 'the rest of a command did not come in time');
  }

  #enter(token: string | undefined): void {
    const client = this.#door.access.clientOf(token);
    this.caller = { client, door: 'resp', signal: this.#gone.signal };
  }

  #read(): void {
    try {
      while (!this.isEnding && !this.#isBusy) {
        const command = this.#held ?? this.#parser.next();
        this.#held = undefined;
        if (command === undefined) break;
        if (command.length === 0) continue;
        const name = nameOf(command[0]!);
        if (httpWords.has(name)) throw new ProtocolError('HTTP was sent to the door of the Redis protocol');
        const isLook = looks.has(name);
        if (isLook && this.#replies.length > 0) {
          this.#held = command;
          break;
        }
        this.#isLooking = isLook;
        this.#run(name, command);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuse('protocol', `Protocol error: ${error.message}`);
      return;
    }
    this.#paceReading();
  }

  /** Nothing is read now: replies have to be ready, or taken, first. */
  get #isBusy(): boolean {
    return (
      this.#isFull ||
      (this.#replies.length > 0 && (this.#held !== undefined || this.#isLooking)) ||
      this.#replies.length >= this.#door.limits.maxPipelined
    );
  }

  #paceReading(): void {
    if (this.isEnding) {
      this.end();
      return;
    }
    if (this.#isBusy) {
      this.#waitingSinceMs = undefined;
      this.#socket.pause();
      return;
    }
    if (this.#hasEnded) {
      this.end();
      return;
    }
    if (!this.#parser.isWaiting) this.#waitingSinceMs = undefined;
    else this.#waitingSinceMs ??= performance.now();
    if (this.#socket.isPaused()) this.#socket.resume();
  }

  /** What still comes is not read by anybody, so that its sender gets the replies before it hears of the end. */
  #finish(): void {
    if (this.#finishedAtMs !== undefined) return;
    this.#finishedAtMs = performance.now();
    this.#socket.end();
    this.#socket.resume();
  }

  #run(name: string, command: Command): void {
    const reply = runCommand(this.#commands, this, name, command);
    if (typeof reply === 'string') this.#replies.push(reply);
    else if (reply instanceof Promise) {
      const place = this.#replies.reserve();
      void reply.then((text) => this.#replies.fill(place, text));
    }
  }

  #write(text: string): void {
    if (this.#socket.destroyed) return;
    // Within its limits every command has been read already, unless something waited.
    const waited = this.#isFull || this.#socket.isPaused();
    this.#isFull = !this.#socket.write(text);
    if (this.isEnding) this.end();
    else if (waited) this.#read();
  }

  #refuse(reason: string, message: string): void {
    this.#door.metrics.refused('resp', reason);
    this.#replies.push(failure(message));
    this.end();
  }
}
