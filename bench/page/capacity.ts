/** From messages a day to servers: what the measured figures mean for a service. Pure. */

import type { Results } from '../results.js';
import { spreadOf } from '../summary.js';
import { peerOf } from './aims.js';
import { amountText, figureText, markdownTable } from './markdown.js';

/** What the plan is computed from. */
export interface MeasuredCosts {
  /** On one server, and in a cluster. */
  readonly redisCpuUsPerNumber: number;
  readonly clusterCpuUsPerNumber: number;
  /** Of private chats, the dearest. */
  readonly ledgerRowsPer1000: number;
  /** Rows that one ledger wrote in a second on the machine of the benchmark, sharing its cores. */
  readonly ledgerRowsPerSecond: number;
  readonly redisBytesPerConversation: number;
  readonly ledgerBytesPerConversation: number;
}

/** Choices, not measurements. */
export const assumptions = {
  /** The busiest second of the day, divided by the average one. */
  peakFactor: 5,
  /** How much of a core, or of what a ledger wrote, is used in that second. */
  usedShare: 0.5,
  messagesPerConversation: 10,
  /** Memory of a primary for words. */
  primaryBytes: 32e9,
};

export interface Plan {
  readonly messagesADay: number;
  readonly peakPerSecond: number;
  readonly redisPrimaries: number;
  readonly redisBytes: number;
  readonly ledgerRowsPerSecond: number;
  readonly ledgers: number;
  readonly ledgerBytes: number;
}

const secondsADay = 86_400;

export function planFor(messagesADay: number, costs: MeasuredCosts): Plan {
  const { peakFactor, usedShare, messagesPerConversation, primaryBytes } = assumptions;
  const peakPerSecond = (messagesADay / secondsADay) * peakFactor;
  const conversations = messagesADay / messagesPerConversation;
  const redisBytes = conversations * costs.redisBytesPerConversation;
  const cores = (cpuUs: number) => (peakPerSecond * cpuUs) / 1e6 / usedShare;
  const byMemory = redisBytes / primaryBytes;
  // One server is cheaper for each number than a primary of a cluster, as long as it is enough.
  const isOneEnough = cores(costs.redisCpuUsPerNumber) <= 1 && byMemory <= 1;
  const primaries = Math.ceil(Math.max(cores(costs.clusterCpuUsPerNumber), byMemory));
  const ledgerRowsPerSecond = (peakPerSecond * costs.ledgerRowsPer1000) / 1_000;
  return {
    messagesADay,
    peakPerSecond,
    redisPrimaries: isOneEnough ? 1 : Math.max(2, primaries),
    redisBytes,
    ledgerRowsPerSecond,
    ledgers: Math.ceil(ledgerRowsPerSecond / (costs.ledgerRowsPerSecond * usedShare)),
    ledgerBytes: conversations * costs.ledgerBytesPerConversation,
  };
}

/** Undefined when something that it takes was not measured. */
export function costsOf(results: Results): MeasuredCosts | undefined {
  const uniform = peerOf(results, 'uniform', 'tidemark');
  const costs = {
    redisCpuUsPerNumber: spreadOf(uniform, 'redisCpuUsPerNumber')?.median,
    clusterCpuUsPerNumber: spreadOf(peerOf(results, 'cluster', 'cluster'), 'redisCpuUsPerNumber')?.median,
    ledgerRowsPer1000: spreadOf(peerOf(results, 'private-chats', '10'), 'ledgerRowsPer1000')?.median,
    // A new conversation is one row.
    ledgerRowsPerSecond: spreadOf(peerOf(results, 'new', 'tidemark'), 'perSecond')?.median,
    redisBytesPerConversation: uniform?.footprint.redisBytes,
    ledgerBytesPerConversation: uniform?.footprint.ledgerBytes,
  };
  const isComplete = Object.values(costs).every((cost) => cost !== undefined && cost > 0);
  return isComplete ? (costs as MeasuredCosts) : undefined;
}

const planned = [1e6, 1e8, 1e9, 1e10, 1e11];

export function renderCapacity(results: Results): string {
  const costs = costsOf(results);
  if (costs === undefined) return 'Not measured.\n';
  const rows = planned.map((messagesADay) => {
    const plan = planFor(messagesADay, costs);
    return [
      messagesADay.toLocaleString('en-US'),
      figureText(plan.peakPerSecond),
      plan.redisPrimaries.toLocaleString('en-US'),
      `${amountText(plan.redisBytes)}B`,
      figureText(plan.ledgerRowsPerSecond),
      plan.ledgers.toLocaleString('en-US'),
      `${amountText(plan.ledgerBytes)}B`,
    ];
  });
  const head = [
    'messages a day',
    'numbers in the busiest second',
    'Redis primaries',
    'Redis memory',
    'ledger rows written in that second',
    'ledgers',
    'ledger on disk',
  ];
  return `${costsTable(costs)}\n${formulas()}\n${markdownTable([head, ...rows])}`;
}

function costsTable(costs: MeasuredCosts): string {
  const { peakFactor, usedShare, messagesPerConversation, primaryBytes } = assumptions;
  return markdownTable([
    ['name', 'is', 'from'],
    ['peak', String(peakFactor), 'chosen: the busiest second, divided by the average one'],
    ['share', String(usedShare), 'chosen: how much of a core or of a ledger is used in that second'],
    ['perConversation', String(messagesPerConversation), 'chosen: messages of a conversation a day'],
    ['primaryBytes', `${primaryBytes / 1e9} GB`, 'chosen: memory of a primary'],
    ['redisCpu', `${figureText(costs.redisCpuUsPerNumber)} µs`, '`uniform`, one server'],
    ['clusterCpu', `${figureText(costs.clusterCpuUsPerNumber)} µs`, '`cluster`'],
    ['ledgerWrites', figureText(costs.ledgerRowsPer1000), '`private-chats`, for 1,000 numbers'],
    ['ledgerRate', `${figureText(costs.ledgerRowsPerSecond)} rows/s`, '`new`, on the shared cores here'],
    ['wordBytes', figureText(costs.redisBytesPerConversation), '`uniform`'],
    ['rowBytes', figureText(costs.ledgerBytesPerConversation), '`uniform`'],
  ]);
}

function formulas(): string {
  return `\`\`\`text
busiest          = messages a day ÷ 86,400 × peak
conversations    = messages a day ÷ perConversation
Redis memory     = conversations × wordBytes
Redis primaries  = 1, if busiest × redisCpu ≤ share of a second, and the memory fits;
                   otherwise the larger of busiest × clusterCpu ÷ share and Redis memory ÷ primaryBytes, rounded up
ledger rows      = busiest × ledgerWrites ÷ 1,000
ledgers          = ledger rows ÷ (ledgerRate × share), rounded up
ledger on disk   = conversations × rowBytes
\`\`\`
`;
}
