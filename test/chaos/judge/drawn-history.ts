/**
 * A random history without anything wrong in it: an allocator in a few lines, as the documentation describes it, and clients
 * whose calls overlap, fail, are repeated and die with their processes.
 */

import { Random } from '../../support/random.js';
import type { WrittenHistory } from './written-history.js';

const leaseUs = 60;

interface Take {
  readonly first: number;
  readonly last: number;
  until: number;
  state: 'open' | 'stored' | 'ended';
}

interface Chat {
  readonly name: string;
  highest: number;
  readonly receipts: Map<string, Take>;
  readonly renumbered: Set<string>;
  readonly tracked: Take[];
}

interface Call {
  readonly id: number;
  readonly chat: Chat;
  readonly count: number;
  readonly messageId: string | undefined;
  readonly tracked: boolean;
  readonly startedAt: number;
  got?: Take;
  openUntil: number | undefined;
  repeated: boolean;
  replied: boolean;
  hasStored: boolean;
}

interface Process {
  readonly lines: string[];
  calls: Call[];
  nextCall: number;
  at: number;
  /** Gaps that it has not recorded yet; they die with it. */
  unrecorded: string[];
}

export interface DrawnHistory extends WrittenHistory {
  readonly clients: readonly string[][];
  readonly gaps: readonly string[];
  readonly chats: readonly Chat[];
  /** After everything else. */
  readonly endsAt: number;
}

export function drawHistory(seed: number): DrawnHistory {
  return new Drawing(new Random(seed)).draw();
}

class Drawing {
  private now = 1;
  private readonly chats: Chat[];
  private readonly ended: string[][] = [];
  private readonly gaps: string[] = [];
  private readonly processes: Process[];

  constructor(private readonly random: Random) {
    this.chats = Array.from({ length: 1 + random.below(3) }, (_, index) => ({
      ...{ name: `group:g${index}`, highest: 0, tracked: [] },
      ...{ receipts: new Map(), renumbered: new Set<string>() },
    }));
    this.processes = Array.from({ length: 1 + random.below(4) }, () => this.newProcess());
  }

  draw(): DrawnHistory {
    const steps = 20 + this.random.below(200);
    for (let step = 0; step < steps; step += 1) this.step(this.pick(this.processes));
    for (const process of this.processes) this.finish(process);

    return { clients: this.ended, gaps: this.gaps, chats: this.chats, endsAt: this.now + 1 };
  }

  private step(process: Process): void {
    const { random } = this;
    const call = process.calls.length === 0 ? undefined : this.pick(process.calls);
    if (random.chance(0.01)) this.die(process);
    else if (random.chance(0.1)) this.read(process);
    else if (call === undefined || (process.calls.length < 4 && random.chance(0.4))) this.start(process);
    else this.goOn(process, call);
  }

  private start(process: Process): void {
    const { random } = this;
    const chat = this.pick(this.chats);
    const tracked = random.chance(0.4);
    const messageId = random.chance(0.4) ? `${tracked ? 't' : 'm'}${random.below(6)}` : undefined;
    const count = messageId === undefined && random.chance(0.3) ? 1 + random.below(5) : 1;
    const more = tracked ? ` ${messageId ?? '-'} t` : messageId === undefined ? '' : ` ${messageId}`;
    const id = process.nextCall;
    process.nextCall += 1;
    const startedAt = this.write(process, (at) => `S ${id} ${chat.name} ${count} ${at}${more}`);
    process.calls.push({
      ...{ id, chat, count, messageId, tracked, startedAt },
      ...{ openUntil: undefined, repeated: false, replied: false, hasStored: false },
    });
  }

  /** The next that happens in a call: it takes numbers, has them, stores its message, settles. */
  private goOn(process: Process, call: Call): void {
    const { random } = this;
    if (!call.replied && random.chance(0.05)) this.fail(process, call);
    else if (call.got === undefined) this.take(process, call);
    else if (!call.replied) this.reply(process, call);
    else if (call.hasStored) this.settle(process, call);
    else this.endTake(process, call, random.next());
  }

  /** Its holder forgets it, abandons it, or stores its message. */
  private endTake(process: Process, call: Call, choice: number): void {
    if (choice < 0.1) end(process, call);
    else if (choice < 0.2 && call.messageId === undefined) this.abandon(process, call);
    else {
      call.hasStored = true;
      this.write(process, (at) => `P ${call.id} ${at}`);
    }
  }

  private take(process: Process, call: Call): void {
    const { chat, messageId, tracked } = call;
    const known = messageId === undefined ? undefined : chat.receipts.get(messageId);
    if (known !== undefined && !this.random.chance(0.05)) {
      call.got = known;
      call.repeated = true;
      // Whoever sends a message again has a whole lease for it, unless the lease has ended.
      if (known.state !== 'open' || this.now > known.until) return;
      known.until = this.now + leaseUs;
      call.openUntil = call.startedAt + leaseUs;
      return;
    }
    // The receipt was lost, and somebody tells of it.
    if (known !== undefined) {
      chat.renumbered.add(messageId!);
      process.lines.push(`L ${chat.name} ${messageId}`);
    }
    if (this.random.chance(0.05)) this.skip(chat);
    const first = chat.highest + 1;
    const last = chat.highest + call.count;
    const take: Take = { first, last, until: this.now + leaseUs, state: tracked ? 'open' : 'ended' };
    chat.highest = last;
    call.got = take;
    if (tracked) {
      chat.tracked.push(take);
      call.openUntil = call.startedAt + leaseUs;
    }
    if (messageId !== undefined) chat.receipts.set(messageId, take);
  }

  private reply(process: Process, call: Call): void {
    const { first, last } = call.got!;
    call.replied = true;
    const until = call.openUntil === undefined ? '' : ` o${call.openUntil}`;
    this.write(process, (at) => `E ${call.id} ${first} ${last} ${at}${call.repeated ? ' r' : ''}${until}`);
    if (!call.tracked) end(process, call);
  }

  private fail(process: Process, call: Call): void {
    this.write(process, (at) => `F ${call.id} timeout ${at}`);
    end(process, call);
    if (call.got === undefined || call.repeated) return;
    const line = gapOf(call.chat, call.got, call.messageId === undefined ? 'abandoned' : 'unclaimed');
    // What is tracked ends by its lease, whether the process that failed lives or not.
    if (call.tracked) this.gaps.push(line);
    else process.unrecorded.push(line);
  }

  private abandon(process: Process, call: Call): void {
    this.write(process, (at) => `A ${call.id} ${at}`);
    end(process, call);
    if (call.got!.state !== 'open') return;
    call.got!.state = 'ended';
    this.gaps.push(gapOf(call.chat, call.got!, 'abandoned'));
  }

  private settle(process: Process, call: Call): void {
    const take = call.got!;
    if (take.state === 'open') take.state = 'stored';
    const outcome = take.state === 'stored' ? 'done' : 'told';
    this.write(process, (at) => `D ${call.id} ${outcome} ${at}`);
    end(process, call);
  }

  /** Before a reader goes past a take whose lease has ended, the take is given up. */
  private read(process: Process): void {
    const chat = this.pick(this.chats);
    for (const take of chat.tracked) {
      if (take.state !== 'open' || take.until >= this.now) continue;
      take.state = 'ended';
      this.gaps.push(gapOf(chat, take, 'lease_expired'));
    }
    const open = chat.tracked.filter(({ state }) => state === 'open').map(({ first }) => first - 1);
    const completeUpTo = Math.min(chat.highest, ...open);
    this.write(process, (at) => `C ${chat.name} ${completeUpTo} ${at}`);
  }

  private skip(chat: Chat): void {
    const [first, last] = [chat.highest + 1, chat.highest + 1 + this.random.below(9)];
    chat.highest = last;
    this.gaps.push(`G ${chat.name} ${first} ${last} word_lost`);
  }

  private die(process: Process): void {
    this.ended.push(process.lines);
    this.processes[this.processes.indexOf(process)] = this.newProcess();
  }

  private finish(process: Process): void {
    while (process.calls.length > 0) this.goOn(process, this.pick(process.calls));
    this.gaps.push(...process.unrecorded);
    this.write(process, (at) => `X ${at}`);
    this.ended.push(process.lines);
  }

  private newProcess(): Process {
    return { lines: [], calls: [], nextCall: 0, at: 0, unrecorded: [] };
  }

  /** Two processes may do something at the same moment, one may not. */
  private write(process: Process, line: (at: number) => string): number {
    this.now = Math.max(this.now + this.random.below(3), process.at + 1);
    process.at = this.now;
    process.lines.push(line(this.now));
    return this.now;
  }

  private pick<T>(of: readonly T[]): T {
    return of[this.random.below(of.length)]!;
  }
}

function end(process: Process, call: Call): void {
  process.calls = process.calls.filter((other) => other !== call);
}

function gapOf({ name }: Chat, { first, last }: Take, reason: string): string {
  return `G ${name} ${first} ${last} ${reason}`;
}
