import type { Command } from 'commander';
import { parseConversation } from '../../core/conversation.js';
import { type Finding, findingKinds } from '../../core/findings.js';
import type { VerifyOptions } from '../../core/options.js';
import type { VerificationReport } from '../../core/verification.js';
import { TidemarkError } from '../../errors.js';
import type { Settings } from '../config.js';
import { examples, wholeNumber } from '../flags.js';
import { counted } from '../output.js';
import { startProgress } from '../progress.js';
import type { Invocation, Runner } from '../runner.js';

const failureStatus = 1;
const defaultTimeoutMs = 5_000;
const maxShown = 1_000_000;

interface VerifyFlags {
  readonly type?: string;
  readonly repair?: boolean;
  readonly messages?: string;
  readonly messagesFrom?: string;
  readonly limit: number;
}

/** `tidemark verify [conversation] [--type <type>] [--messages <query>] [--repair]` */
export function addVerify(program: Command, runner: Runner): void {
  program
    .command('verify')
    .description(
      'compare the counters, the ledger and stored messages: what is lost, comes twice or is missing',
    )
    .argument('[conversation]', 'only group:g1, private:alice:bob or <type>:<id>')
    .option('--type <type>', 'only conversations of a type')
    .option('--messages <query>', 'a SELECT of conversation and number of every message, in order of both')
    .option('--messages-from <url>', 'MySQL or MariaDB with the messages (default: that of --ledger)')
    .option('--repair', 'mend what can be mended while numbers are issued; explain the rest')
    .option('--limit <n>', `most findings that are printed, 1 to ${maxShown}`, wholeNumber(1, maxShown), 100)
    .addHelpText(
      'after',
      examples(
        'tidemark verify --redis redis://localhost --ledger mysql://root@localhost/tidemark',
        "tidemark verify --repair --messages 'SELECT conversation, number FROM messages ORDER BY conversation, number'",
        'tidemark verify --data ./d',
      ),
    )
    .action(async (text: string | undefined, flags: VerifyFlags, command: Command) => {
      if (text !== undefined && flags.type !== undefined)
        throw new TidemarkError('invalid_argument', 'give a conversation or --type, not both');
      await runner.withGenerator(command, async (generator, invocation, call) => {
        const { output } = invocation;
        const progress = await startProgress(output.terminal, 'conversations');
        let shown = 0;
        const lines: Finding[] = [];
        const options: VerifyOptions = {
          ...call,
          ...(text !== undefined && { conversation: parseConversation(text) }),
          ...(flags.type !== undefined && { type: flags.type }),
          ...(await messagesOf(flags, invocation)),
          repair: flags.repair === true,
          onFinding: (finding) => {
            shown += 1;
            if (shown <= flags.limit) lines.push(finding);
          },
          onProgress: ({ conversations }) => progress.update(conversations),
        };
        const report = await generator.verify(options).finally(() => progress.stop());
        await output.result(jsonOf(report, lines), textOf(report, lines, shown));
        return report.failures === 0 ? 0 : failureStatus;
      });
    });
}

async function messagesOf(
  { messages: query, messagesFrom }: VerifyFlags,
  { settings }: Invocation,
): Promise<Pick<VerifyOptions, 'messages'>> {
  if (query === undefined) {
    if (messagesFrom === undefined) return {};
    throw new TidemarkError(
      'invalid_argument',
      '--messages-from says where the messages are; give --messages, too',
    );
  }
  const { storedNumbers } = await import('./verify-messages.js');
  const timeoutMs = settings.tuning.timeoutMs ?? defaultTimeoutMs;
  return { messages: storedNumbers(messagesFrom ?? ledgerOf(settings), query, timeoutMs) };
}

function ledgerOf({ stores }: Settings): string {
  if (stores?.kind === 'servers' && stores.ledger !== undefined) return stores.ledger;
  const advice = 'give --messages-from mysql://user@host:3306/database';
  throw new TidemarkError('invalid_argument', `it is not said where the messages are; ${advice}`);
}

function jsonOf(report: VerificationReport, findings: readonly Finding[]): object {
  return {
    ok: report.failures === 0,
    ...report,
    findings: findings.map((finding) => ({ ...finding, repaired: finding.repaired ?? null })),
  };
}

function textOf(report: VerificationReport, findings: readonly Finding[], shown: number): string {
  const lines = findings.map(({ kind, conversation, found, severity, repaired, advice }) => {
    const state = repaired === undefined ? severity : 'repaired';
    return `${state}  ${kind}  ${conversation}: ${found}\n         -> ${repaired ?? hint(kind, advice)}`;
  });
  if (shown > findings.length)
    lines.push(`… and ${shown - findings.length} more; --limit shows more of them`);
  const { conversations, messages, failures, warnings, repaired } = report;
  const looked = [
    counted(conversations, 'conversation'),
    ...(messages > 0 ? [counted(messages, 'message')] : []),
    counted(failures, 'failure'),
    counted(warnings, 'warning'),
    ...(repaired > 0 ? [`${repaired} repaired`] : []),
  ];
  return [...lines, looked.join(', ')].join('\n');
}

function hint(kind: Finding['kind'], advice: string): string {
  const { repair } = findingKinds[kind];
  return repair === undefined ? advice : `${advice}. With --repair ${repair}`;
}
