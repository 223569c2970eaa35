/**
 * Makes sure that the servers which the tests start for themselves are installed: Redis and MariaDB.
 *
 * On Debian and Ubuntu as root, what is missing is installed with apt-get, without starting it: the tests start private
 * servers on ports of their own, and no server that runs already is touched. Anywhere else it says what to install.
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Commands that the tests run, and the Debian package that has each. */
const needed = {
  'redis-server': 'redis-server',
  mariadbd: 'mariadb-server',
  'mariadb-install-db': 'mariadb-server',
};
/** Debian asks this file before it starts a service; 101 means no. */
const policyFile = '/usr/sbin/policy-rc.d';
const aptOptions = ['-o', 'Acquire::Retries=3', '-o', 'DPkg::Lock::Timeout=300', '-qq'];

/** Installs what is missing. Returns what to do instead where that is not possible, undefined when all is there. */
export function installServers() {
  // Debian keeps servers in a folder that is not in every user's PATH.
  if (!process.env.PATH.split(path.delimiter).includes('/usr/sbin'))
    process.env.PATH += `${path.delimiter}/usr/sbin`;
  const packages = missingPackages();
  if (packages.length === 0) return undefined;
  const advice = `Install ${packages.join(' and ')}: apt-get install ${packages.join(' ')} (Debian, Ubuntu), brew install redis mariadb (macOS)`;
  if (process.getuid?.() !== 0 || findCommand('apt-get') === undefined) return advice;
  process.stdout.write(`Installing ${packages.join(' and ')}; services are not started.\n`);
  const failure = withoutStartingServices(
    () => apt(['update']) ?? apt(['install', '--yes', '--no-install-recommends', ...packages]),
  );
  if (failure !== undefined) return `${failure}\n${advice}`;
  return missingPackages().length === 0 ? undefined : advice;
}

function missingPackages() {
  const missing = Object.entries(needed).filter(([command]) => findCommand(command) === undefined);
  return [...new Set(missing.map(([, name]) => name))];
}

function findCommand(name) {
  return process.env.PATH.split(path.delimiter)
    .map((folder) => path.join(folder, name))
    .find(isExecutable);
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Returns what went wrong, undefined when nothing did. */
function apt(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
  const { status, stdout, stderr, error } = spawnSync('apt-get', [...aptOptions, ...args], {
    env,
    encoding: 'utf8',
  });
  if (status === 0) return undefined;
  return `apt-get ${args.join(' ')} failed: ${error?.message ?? `${stdout}${stderr}`}`;
}

function withoutStartingServices(install) {
  // A policy that is there already is the administrator's.
  if (existsSync(policyFile)) return install();
  const remove = () => rmSync(policyFile, { force: true });
  process.once('exit', remove);
  writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return install();
  } finally {
    remove();
    process.off('exit', remove);
  }
}
