/** What the files of deploy/ say about the server, compared with the server. No container engine is needed. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { readEnvironment } from '../../src/cli/config.js';
import { Output } from '../../src/cli/output.js';
import { buildProgram } from '../../src/cli/program.js';
import { Runner } from '../../src/cli/runner.js';
import { errorCodes } from '../../src/errors.js';
import { ServerMetrics } from '../../src/server/metrics.js';
import { repositoryRoot } from '../support/compiled.js';
import { anchors, readPage } from './pages.js';

type Json = Record<string, unknown>;

const read = (file: string) => readFileSync(path.join(repositoryRoot, file), 'utf8');
const files = readdirSync(path.join(repositoryRoot, 'deploy'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => path.relative(repositoryRoot, path.join(entry.parentPath, entry.name)));
const structured = files.filter((file) => /\.(ya?ml|json)$/.test(file));
const everything = ['Dockerfile', ...files].map((file) => ({ file, text: read(file) }));

const variables = Object.keys(readEnvironment());

function documents(file: string): Json[] {
  return parseAllDocuments(read(file), { merge: true }).map((document) => {
    expect(document.errors, file).toEqual([]);
    return document.toJS() as Json;
  });
}

/** Every object inside of a value that has the key. */
function withKey(value: unknown, key: string): Json[] {
  if (typeof value !== 'object' || value === null) return [];
  const inside = Object.values(value).flatMap((each) => withKey(each, key));
  return key in value ? [value as Json, ...inside] : inside;
}

test.each(structured)('%s can be parsed', (file) => {
  expect(documents(file).length).toBeGreaterThan(0);
});

const alerts = withKey(documents('deploy/prometheus/alerts.yml'), 'expr');
const queries = [...alerts, ...withKey(documents('deploy/grafana/dashboards/tidemark.json'), 'expr')].map(
  ({ expr }) => String(expr),
);

test('the dashboard and the alerts name only metrics that the server has', async () => {
  const { text } = await new ServerMetrics().text();
  const known = new Set(['up', ...[...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!)]);
  const used = queries.flatMap((query) =>
    [...query.matchAll(/\b(?:tidemark|process|nodejs)_\w+/g)].map(([name]) => name.replace(/_bucket$/, '')),
  );
  expect(used.length).toBeGreaterThan(30);
  expect([...new Set(used)].filter((name) => !known.has(name))).toEqual([]);
});

test('the alerts name only error codes that there are', () => {
  const used = queries.flatMap((query) =>
    [...query.matchAll(/code=~"([^"]+)"/g)].flatMap(([, codes]) => codes!.split('|')),
  );
  expect(used.length).toBeGreaterThan(10);
  expect(used.filter((code) => !(code in errorCodes))).toEqual([]);
});

test('each alert has a runbook that exists', () => {
  for (const alert of alerts) {
    const { runbook } = alert['annotations'] as { runbook: string };
    const [page = '', anchor = ''] = runbook.split('#');
    expect([...anchors(readPage(page))], String(alert['alert'])).toContain(anchor);
  }
});

test('only flags and variables that there are', async () => {
  const program = await buildProgram(
    new Runner({
      output: new Output(process.stdout, process.stderr),
      input: process.stdin,
      signal: new AbortController().signal,
      environment: {},
      folder: '.',
    }),
  );
  const flags = program.commands
    .find((command) => command.name() === 'serve')!
    .options.map(({ long }) => long);
  const found = everything.flatMap(({ text }) =>
    [...text.matchAll(/\bTIDEMARK_[A-Z_]+/g)].map(([name]) => name),
  );
  expect(found.filter((name) => !variables.includes(name))).toEqual([]);
  const served = everything.flatMap(({ text }) =>
    [...text.matchAll(/\bserve\b(.*)$/gm)].flatMap(([, rest]) => rest!.match(/--[a-z-]+/g) ?? []),
  );
  expect(served.length).toBeGreaterThan(0);
  expect(served.filter((flag) => !flags.includes(flag))).toEqual([]);
});

test('images are pinned to a version', () => {
  const images = structured.flatMap((file) =>
    withKey(documents(file), 'image').map(({ image }) => String(image)),
  );
  images.push(...[...read('Dockerfile').matchAll(/^FROM (\S+)/gm)].map(([, image]) => image!));
  expect(images.length).toBeGreaterThan(8);
  for (const image of images) expect(image).toMatch(/:v?\d+\.\d+\.\d+(-[a-z-]+)?$/);
});

test('containers are not root and have a read-only root file system', () => {
  const [compose] = documents('deploy/compose.yaml');
  for (const [name, service] of Object.entries(compose!['services'] as Record<string, Json>)) {
    expect(service, name).toMatchObject({ read_only: true, cap_drop: ['ALL'] });
    expect(service['user'], name).toMatch(/^[1-9]\d*:/);
  }
  for (const name of ['deployment', 'migrate']) {
    const [pod] = withKey(documents(`deploy/kubernetes/${name}.yaml`), 'containers');
    expect(pod!['securityContext'], name).toMatchObject({ runAsNonRoot: true });
    for (const container of pod!['containers'] as Json[])
      expect(container['securityContext'], name).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
  }
  expect(read('Dockerfile')).toMatch(/^USER [1-9]\d*/m);
});

test('the time to stop is longer than the shutdown timeout', () => {
  const [unit, compose] = [read('deploy/systemd/tidemark.service'), read('deploy/compose.yaml')];
  const timeoutMs = Number(/--shutdown-timeout (\d+)/.exec(unit)![1]);
  expect(Number(/TimeoutStopSec=(\d+)/.exec(unit)![1]) * 1_000).toBeGreaterThan(timeoutMs);
  expect(Number(/stop_grace_period: (\d+)s/.exec(compose)![1]) * 1_000).toBeGreaterThan(
    Number(/--shutdown-timeout, "(\d+)"/.exec(compose)![1]),
  );
});
