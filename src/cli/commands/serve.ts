import type { Command } from 'commander';
import { asTidemarkError } from '../../core/epochs.js';
import { maxTimeoutMs } from '../../core/options.js';
import type { OpenDoor } from '../../server/door.js';
import { logLevels, openLog } from '../../server/log.js';
import type { Server } from '../../server/server.js';
import { requireStores } from '../config.js';
import { examples, wholeNumber } from '../flags.js';
import type { ExitStatus, Invocation, Runner } from '../runner.js';
import {
  defaultAddresses,
  defaultShutdownTimeoutMs,
  printable,
  readClients,
  readTls,
  type ServeFlags,
  type ServeSettings,
  serveSettings,
} from '../serve-settings.js';
import { openStores } from '../stores.js';
import { packageVersion } from '../version.js';

/** `tidemark serve` */
export function addServe(program: Command, runner: Runner): void {
  program
    .command('serve')
    .description('run the server: the Redis protocol, HTTP and gRPC over one series of numbers')
    .option(
      '--resp <address>',
      `where the Redis protocol is spoken, or off (default: ${defaultAddresses.resp})`,
    )
    .option('--http <address>', `where HTTP is, or off (default: ${defaultAddresses.http})`)
    .option('--grpc <address>', `where gRPC is, or off (default: ${defaultAddresses.grpc})`)
    .option('--clients <file>', 'who may do what, with hashes of tokens; read again at SIGHUP')
    .option('--allow-anonymous', 'listen beyond this machine without clients: whoever comes may take numbers')
    .option('--tls-cert <file>', 'certificate of all doors, as PEM')
    .option('--tls-key <file>', 'its key')
    .option('--tls-client-ca <file>', 'clients need a certificate of this authority (mTLS)')
    .option('--key-prefix <text>', 'first part of keys in the Redis protocol (default: seq)')
    .option(
      '--shutdown-timeout <ms>',
      `how long calls may take to end after SIGTERM (default: ${defaultShutdownTimeoutMs})`,
      wholeNumber(0, maxTimeoutMs),
    )
    .option('--log-level <level>', `${logLevels.join(', ')} (default: info)`)
    .option('--print-config', 'print what would be used, without passwords, and end')
    .addHelpText(
      'after',
      `
Logs are JSON on stderr. SIGTERM and SIGINT: accepts nothing new, answers what is under way, exits with 0.
${examples(
  'tidemark serve --data ./d',
  'tidemark serve --redis redis://localhost --ledger mysql://root@localhost/tidemark --http 127.0.0.1:8080',
  'tidemark serve --data ./d --resp 0.0.0.0:6379 --clients clients.json --tls-cert cert.pem --tls-key key.pem',
)}`,
    )
    .action(async (flags: ServeFlags & { printConfig?: true }, command: Command) => {
      await runner.run(command, (invocation) => serve(invocation, flags));
    });
}

async function serve(
  invocation: Invocation,
  flags: ServeFlags & { readonly printConfig?: true },
): Promise<ExitStatus> {
  const { settings, output, folder } = invocation;
  const serving = serveSettings(flags, settings, folder);
  requireStores(settings);
  if (flags.printConfig === true) {
    await output.write(`${JSON.stringify(printable(serving, settings), undefined, 2)}\n`);
    return 0;
  }
  const clients = serving.clientsFile === undefined ? undefined : await readClients(serving.clientsFile);
  const tls = await readTls(serving.tlsFiles);
  const log = openLog(serving.logLevel);
  const { Server } = await import('../../server/server.js');
  const { doors, limits, keyPrefix } = serving;
  const { counters, ledger } = await openStores(settings);
  const { tuning } = settings;
  const version = await packageVersion();
  const server = await Server.start({
    ...{ counters, ledger, tuning, doors, clients, tls, limits, keyPrefix, version, log },
  });
  log.info({ doors: server.doors.map(({ door, address }) => `${door} ${address}`), version }, 'listening');
  await output.write(greeting(server.doors, clients !== undefined, tls !== undefined));
  const stopReloading = reloadAtHangup(server, serving, log);
  await aborted(invocation.signal);
  stopReloading();
  log.info('stopping');
  const isComplete = await server.stop(serving.shutdownTimeoutMs);
  log.info({ isComplete }, 'stopped');
  invocation.stoppedInOrder();
  return 0;
}

/** How to talk to each door, for whoever has just started it. */
function greeting(doors: readonly OpenDoor[], hasClients: boolean, hasTls: boolean): string {
  const lines = doors.map(({ door, address }) => {
    const [host, port] = [
      address.slice(0, address.lastIndexOf(':')),
      address.slice(address.lastIndexOf(':') + 1),
    ];
    const scheme = hasTls ? 'https' : 'http';
    if (door === 'resp')
      return `Redis protocol  ${address}  redis-cli -h ${host} -p ${port}${hasTls ? ' --tls' : ''} INCR seq:group:g1`;
    if (door === 'http')
      return `HTTP            ${address}  curl -X POST ${scheme}://${address}/v1/conversations/group:g1/next`;
    return `gRPC            ${address}  grpcurl ${hasTls ? '' : '-plaintext '}-d '{"conversation":"group:g1"}' ${address} tidemark.v1.Tidemark/Next`;
  });
  const token = hasClients ? '\nEvery call needs a token of the clients file.\n' : '';
  return `Tidemark issues numbers here:\n\n${lines.join('\n')}\n${token}\nCtrl-C ends it.\n`;
}

/** A clients file that is wrong changes nothing. */
function reloadAtHangup(
  server: Server,
  { clientsFile }: ServeSettings,
  log: ReturnType<typeof openLog>,
): () => void {
  const reload = () => {
    if (clientsFile === undefined) return;
    readClients(clientsFile).then(
      (clients) => {
        server.reload(clients);
        log.info({ clients: clients.length }, 'clients read again');
      },
      (error: unknown) => log.error({ error: asTidemarkError(error).message }, 'the old clients stay'),
    );
  };
  process.on('SIGHUP', reload);
  return () => process.off('SIGHUP', reload);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
