/**
 * Makes sure that the servers which the tests start for themselves are installed: Redis, MariaDB, and where they can be had
 * Valkey, and a Redis client for Python. The tests of these two are skipped without them.
 *
 * On Debian and Ubuntu as root, what is missing is installed with apt-get, without starting it: the tests start private
 * servers on ports of their own, and no server that runs already is touched. Anywhere else it says what to install.
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Commands that the tests run, and the Debian package that has each. */
const needed = {
  'redis-server': 'redis-server',
  mariadbd: 'mariadb-server',
  'mariadb-install-db': 'mariadb-server',
  'redis-cli': 'redis-tools',
  'redis-benchmark': 'redis-tools',
  openssl: 'openssl',
};
const wanted = { 'valkey-server': 'valkey-server' };
/** Debian asks this file before it starts a service; 101 means no. */
const policyFile = '/usr/sbin/policy-rc.d';
const sourcesFolder = '/etc/apt/sources.list.d';
const aptOptions = ['-o', 'DPkg::Lock::Timeout=300', '-qq'];
const patient = ['-o', 'Acquire::Retries=3'];
/** What is not required must not keep anybody waiting where there is no network. */
const hasty = [
  '-o',
  'Acquire::Retries=0',
  '-o',
  'Acquire::http::Timeout=15',
  '-o',
  'Acquire::https::Timeout=15',
];

/** Installs what is missing. Returns what to do instead where that is not possible, undefined when all is there. */
export function installServers() {
  // Debian keeps servers in a folder that is not in every user's PATH.
  if (!process.env.PATH.split(path.delimiter).includes('/usr/sbin'))
    process.env.PATH += `${path.delimiter}/usr/sbin`;
  const advice = installNeeded(missingPackages(needed));
  if (advice === undefined) installWanted(missingWanted());
  return advice;
}

function installNeeded(packages) {
  if (packages.length === 0) return undefined;
  const advice = `Install ${packages.join(' and ')}: apt-get install ${packages.join(' ')} (Debian, Ubuntu), brew install redis mariadb openssl (macOS)`;
  if (!canInstall()) return advice;
  process.stdout.write(`Installing ${packages.join(' and ')}; services are not started.\n`);
  const failure = apt(['update'], patient) ?? install(packages, patient);
  if (failure !== undefined) return `${failure}\n${advice}`;
  return missingPackages(needed).length === 0 ? undefined : advice;
}

/** Never fails: what cannot be had is said, and the tests of it are skipped. */
function installWanted(packages) {
  if (packages.length === 0) return;
  const names = packages.join(' and ');
  let failure = 'it is not installed';
  if (canInstall()) {
    process.stdout.write(`Installing ${names}; services are not started.\n`);
    failure = apt(['update'], hasty);
    if (!packages.every(isAvailable) && addBackports()) failure = apt(['update'], hasty);
    const available = packages.filter(isAvailable);
    if (available.length > 0) failure = install(available, hasty);
    else failure ??= 'no source of apt has it';
  }
  const without = missingWanted();
  if (without.length > 0)
    process.stdout.write(
      `Without ${without.join(' and ')}: its tests are skipped (${failure ?? 'apt has it not'}).\n`,
    );
}

function missingWanted() {
  return [...missingPackages(wanted), ...(hasPythonClient() ? [] : ['python3-redis'])];
}

/** Debian's own Python, because that is the one that Debian's package is for. */
function hasPythonClient() {
  return spawnSync('/usr/bin/python3', ['-c', 'import redis']).status === 0;
}

function canInstall() {
  return process.getuid?.() === 0 && findCommand('apt-get') !== undefined;
}

function isAvailable(name) {
  return apt(['install', '--simulate', '--no-install-recommends', name], hasty) === undefined;
}

/**
 * Debian 12 has Valkey among its backports only, which come from where the rest of Debian comes from. Nothing else is
 * taken from there, because apt prefers the release itself. Returns whether there is a new source.
 */
function addBackports() {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  if (!/^VERSION_CODENAME=bookworm$/m.test(release) || !/^ID=debian$/m.test(release)) return false;
  const file = path.join(sourcesFolder, 'tidemark-backports.sources');
  const source = debianSource();
  if (source === undefined || existsSync(file)) return false;
  writeFileSync(file, source);
  return true;
}

/** The release's own source with the backports as its suite; undefined where it is not written as one is used to. */
function debianSource() {
  const file = path.join(sourcesFolder, 'debian.sources');
  if (existsSync(file)) {
    const parts = readFileSync(file, 'utf8').split(/\n\s*\n/);
    const own = parts.find((part) => /^Suites:.*\bbookworm(\s|$)/m.test(part));
    const fields = own?.trim().replace(/^#.*\n/gm, '');
    return fields && `${fields.replace(/^Suites:.*$/m, 'Suites: bookworm-backports')}\n`;
  }
  const list = existsSync('/etc/apt/sources.list') ? readFileSync('/etc/apt/sources.list', 'utf8') : '';
  const uri = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+bookworm\s/m.exec(list)?.[1];
  return uri && `Types: deb\nURIs: ${uri}\nSuites: bookworm-backports\nComponents: main\n`;
}

function missingPackages(commands) {
  const missing = Object.entries(commands).filter(([command]) => findCommand(command) === undefined);
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
function install(packages, patience) {
  return withoutStartingServices(() =>
    apt(['install', '--yes', '--no-install-recommends', ...packages], patience),
  );
}

/** Returns what went wrong, undefined when nothing did. */
function apt(args, patience) {
  const { status, stdout, stderr, error } = spawnSync('apt-get', [...aptOptions, ...patience, ...args], {
    env: plainEnvironment(),
    encoding: 'utf8',
  });
  if (status === 0) return undefined;
  return `apt-get ${args.join(' ')} failed: ${error?.message ?? `${stdout}${stderr}`.trim()}`;
}

function plainEnvironment() {
  return { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
}

function withoutStartingServices(action) {
  // A policy that is there already is the administrator's.
  if (existsSync(policyFile)) return action();
  const remove = () => rmSync(policyFile, { force: true });
  process.once('exit', remove);
  writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return action();
  } finally {
    remove();
    process.off('exit', remove);
  }
}
