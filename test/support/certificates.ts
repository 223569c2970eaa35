/** A private certificate authority for tests of TLS, made with the `openssl` command in a temporary folder. */

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { promisify } from 'node:util';
import { temporaryFolder } from './server-process.js';

/** Files of one side of a connection. */
export interface TlsFiles {
  readonly keyFile: string;
  readonly certFile: string;
  /** Whom this side trusts. */
  readonly caFile: string;
}

export interface CertificateAuthority {
  readonly caFile: string;
  /** Makes a key and a certificate that names a host, `127.0.0.1` unless said otherwise. */
  issue(host?: string): Promise<TlsFiles>;
  /** Removes every file. */
  remove(): Promise<void>;
}

/** Makes a certificate authority, valid for two days. */
export async function createCertificateAuthority(): Promise<CertificateAuthority> {
  const folder = await temporaryFolder();
  const file = (name: string) => path.join(folder.path, name);
  const [caFile, caKeyFile] = [file('ca.pem'), file('ca-key.pem')];
  await openssl([
    ...[
      'req',
      '-x509',
      ...newKey,
      '-keyout',
      caKeyFile,
      '-out',
      caFile,
      '-subj',
      '/CN=tidemark test authority',
    ],
    ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'],
  ]);
  let issued = 0;
  return {
    caFile,
    async issue(host = '127.0.0.1') {
      issued += 1;
      const [keyFile, certFile] = [file(`key-${issued}.pem`), file(`cert-${issued}.pem`)];
      const kind = /^[\d.]+$/.test(host) ? 'IP' : 'DNS';
      await openssl([
        ...[
          'req',
          '-x509',
          ...newKey,
          '-keyout',
          keyFile,
          '-out',
          certFile,
          '-subj',
          `/CN=tidemark test ${issued}`,
        ],
        ...['-CA', caFile, '-CAkey', caKeyFile, '-addext', 'basicConstraints=critical,CA:FALSE'],
        ...['-addext', `subjectAltName=${kind}:${host}`],
      ]);
      return { keyFile, certFile, caFile };
    },
    remove: () => folder.remove(),
  };
}

/** Arguments of a Redis server with these files. */
export function tlsArguments({ keyFile, certFile, caFile }: TlsFiles): string[] {
  const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', caFile];
  return [...files, '--tls-replication', 'yes', '--tls-cluster', 'yes'];
}

/** Options of a client with these files; without a certificate of its own if `anonymous`. */
export function tlsOptions({ keyFile, certFile, caFile }: TlsFiles, anonymous = false): ConnectionOptions {
  const ca = readFileSync(caFile);
  return anonymous ? { ca } : { ca, key: readFileSync(keyFile), cert: readFileSync(certFile) };
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

async function openssl(args: readonly string[]): Promise<void> {
  await promisify(execFile)('openssl', [...args]);
}
