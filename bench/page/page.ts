/** docs/performance.md, wholly from results. Pure. */

import type { Results, Step } from '../results.js';
import { spreadOf } from '../summary.js';
import {
  type CallWorkload,
  type Workload,
  type WorkloadName,
  workloadNames,
  workloads,
} from '../workloads.js';
import { peerOf, renderAims } from './aims.js';
import { renderCapacity } from './capacity.js';
import { figureText, markdownTable } from './markdown.js';
import { notes } from './notes.js';
import { renderPlots } from './plots.js';
import { workloadTable } from './tables.js';

const plotsOf: Partial<Record<WorkloadName, readonly (readonly [file: string, text: string])[]>> = {
  concurrency: [
    ['throughput.svg', 'Numbers per second over calls under way'],
    ['p99.svg', 'p99 over calls under way'],
  ],
  words: [
    ['redis-memory.svg', 'Redis bytes per conversation over conversations'],
    ['redis-cpu.svg', 'Redis CPU per number over conversations'],
  ],
};

/** Every file of the page, by its path under the folder of the documentation. */
export function renderDocs(results: Results): Record<string, string> {
  const plots = Object.entries(renderPlots(results)).map(([file, svg]) => [`performance/${file}`, svg]);
  return {
    'performance.md': renderPage(results),
    'performance.json': `${JSON.stringify(results, undefined, 1)}\n`,
    ...Object.fromEntries(plots),
  };
}

function renderPage(results: Results): string {
  const sections = [
    `# Performance\n\n${introduction}\n${renderAims(results)}`,
    `## Measure it yourself\n\n${commands}\n${workloadsTable()}`,
    `## How it is measured\n\n${method(results)}`,
    `## Results\n\n${machineText(results)}`,
    ...workloadNames
      .filter((name) => results.workloads[name] !== undefined)
      .map((name) => workloadSection(name, results)),
    `## Capacity planning\n\n${capacityIntroduction}\n${renderCapacity(results)}\n${capacityNotes}`,
  ];
  return sections.join('\n');
}

const introduction = `This page is written by the benchmark from [its results](performance.json). Tidemark is measured beside what services do today, in
the same run on the same machine: one INCR for each number, with node-redis at its best settings (one client, automatic
pipelining, no timer for each command) and with ioredis (automatic pipelining); a row of MySQL for each conversation; blocks out of
MySQL. \`redis-benchmark -P 64\` shows what Redis itself can do there. INCR gives no protection against a Redis that forgets.

What was aimed at, as medians of the rounds (smallest–largest), ratios within one run:
`;

const commands = `\`\`\`sh no-run
npm run -s bench                                    # everything
npm run -s bench -- --workload uniform --workload hot
npm run -s bench -- --quick --json                  # everything once and very short
npm run -s bench -- --docs docs                     # everything, and writes this page
npm run -s bench -- --from docs/performance.json --docs docs                    # writes it again without measuring
npm run -s bench -- --from docs/performance.json --workload hot --docs docs     # measures one workload anew
npm run -s bench -- --help
\`\`\`

The benchmark starts private servers, and stops them.
`;

function workloadsTable(): string {
  const rows = workloadNames.map((name) => {
    const workload: Workload = workloads[name];
    return [`\`${name}\``, workload.title, ...(workload.kind === 'calls' ? sizes(workload) : ['', ''])];
  });
  return markdownTable([['workload', 'what', 'conversations', 'calls under way'], ...rows]);
}

function sizes({ conversations, underWay }: CallWorkload): string[] {
  const text = (values: readonly number[] | undefined, asAsked: string) =>
    values === undefined ? asAsked : values.map((value) => value.toLocaleString('en-US')).join(' · ');
  return [text(conversations, '100,000'), text(underWay, '1,000')];
}

function method(results: Results): string {
  const harness = peerOf(results, 'uniform', 'harness');
  const alone = spreadOf(harness, 'clientCpuUsPerNumber')?.median;
  const cost =
    alone === undefined
      ? ''
      : `\n  Alone they cost ${figureText(alone)} µs of the client's CPU for each number, a promise included: the peer *harness alone*.`;
  return `- Each peer has a client process, a Redis and a database of its own; the databases are in one MariaDB. All stay for the whole
  workload, and rounds alternate: A, B, C, A, B, C, … A ratio is taken round by round, so that what disturbs the
  machine disturbs both. Tables give the median of the rounds, with the smallest and the largest.
- Callers are loops that ask for the next number as soon as they have one. A caller checks that its number is larger than any
  that its conversation had when it asked; a benchmark in which one is not fails.${cost}
- Before, every conversation is brought into steady use: it has had two blocks and is somewhere in its third, of 256 numbers. Then
  each has two more numbers, not too many at once, so that refills that were put off are done, and
  the workload runs for 3 s unmeasured. Steady state means that most numbers need no ledger write.
- Latency is taken for each call, in the caller. With 1,000 calls under way it is mostly waiting for one's turn.
- *Client CPU* is user and system time of the client process, callers and measuring included (the same for all). *Garbage* is what its
  heap grew by between collections. *Client memory* is heap and buffers after a collection when all conversations were used, less
  what it was before; the names of the conversations and what the callers keep are there before.
- *Redis CPU* is \`used_cpu_user\` + \`used_cpu_sys\` of \`INFO cpu\`, of all primaries. *Redis bytes* are \`used_memory\` when all conversations were
  used, less what it was before. *MariaDB CPU* is the process time of the kernel.
- *Ledger rows* are changed rows of the table that the numbers come from (\`rows_changed\` of MariaDB's \`table_statistics\`). *Ledger commits* is
  \`Com_commit\`, one for each batch of reservations; statements that commit by themselves are not counted. MariaDB flushes at
  every commit.
- Redis persists nothing here, for all peers. All options of Tidemark are at their defaults.
`;
}

function machineText({ machine }: Results): string {
  const { cores, cpu, memoryGiB, system, node, redis, mariaDb } = machine;
  return `${cores} cores (${cpu}), ${memoryGiB} GiB, ${system}, Node ${node}, Redis ${redis}, MariaDB ${mariaDb}. Servers and clients share the cores, and the machine
is shared: the same run some minutes later differs by a fifth. Read the ratios.
`;
}

function workloadSection(name: WorkloadName, results: Results): string {
  const drawn = renderPlots(results);
  const plots = (plotsOf[name] ?? [])
    .filter(([file]) => drawn[file] !== undefined)
    .map(([file, text]) => `![${text}](performance/${file})\n`);
  const { title } = workloads[name];
  const events = eventsText(name, results);
  const steps = results.workloads[name]!;
  const parts = [`### \`${name}\`: ${title}\n`, workloadTable(name, steps), ...plots];
  if (name !== 'private-chats') parts.splice(1, 0, settingsText(steps));
  return `${parts.join('\n')}\n${notes[name]}\n${events}`;
}

/** With what a workload was measured. What varies is in its tables; slow peers have less, which their note says. */
function settingsText([first, ...others]: readonly Step[]): string {
  if (first === undefined) return '';
  const { conversations, underWay, seconds, peers } = first;
  const rounds = Object.values(peers)[0]!.rounds.length;
  const parts = [
    others.every((step) => step.conversations === conversations) && counted(conversations, 'conversation'),
    // 0: each peer has its own.
    underWay > 0 &&
      others.every((step) => step.underWay === underWay) &&
      `${counted(underWay, 'call')} under way`,
    `${counted(rounds, 'round')}${seconds > 0 ? ` of ${seconds} s` : ''} each`,
  ];
  return `${parts.filter((part) => part !== false).join(', ')}.\n`;
}

function counted(count: number, what: string): string {
  return `${count.toLocaleString('en-US')} ${what}${count === 1 ? '' : 's'}`;
}

/** What Tidemark reported in the rounds, where it reported anything. */
function eventsText(name: WorkloadName, results: Results): string {
  const peers = (results.workloads[name] ?? []).flatMap(({ peers }) => Object.values(peers));
  const counts = new Map<string, number>();
  for (const { events } of peers) {
    for (const [type, count] of Object.entries(events)) counts.set(type, (counts.get(type) ?? 0) + count);
  }
  if (counts.size === 0) return '';
  const texts = [...counts].map(([type, count]) => `\`${type}\` ${count.toLocaleString('en-US')}`);
  return `\nEvents in the rounds: ${texts.join(', ')}.\n`;
}

const capacityIntroduction = `What the figures above mean for a service. It is computed, not measured: nothing here had more than one machine. Every conversation is a private
chat, which is the dearest; groups need fewer ledger writes, less memory and less CPU for each message.
`;

const capacityNotes = `- Redis memory and the ledger on disk are for the conversations of one day. With \`idleAfterMs\` of a day others take no memory of Redis;
  the ledger keeps a row for every conversation that ever had a number.
- Twice the primaries, if each has a replica. A replica needs the memory, too.
- One Tidemark writes to one ledger. Where more are needed, divide the conversations among separate ones, each with Redis and
  ledger; the one here had to share its cores with everything else, so measure yours.
- Client CPU is in the services that call, or in \`tidemark serve\`: numbers in the busiest second × client CPU per number.
`;
