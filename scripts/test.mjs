/**
 * `npm test`: everything. Installs the servers that are missing, builds, runs every check of package.json (`check:*`),
 * then the tests with coverage. The last line counts them all: `N passed, N failed`.
 *
 * `npm test -- <filter>` runs only the tests that match, with any option of vitest.
 */

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { installServers } from './install-servers.mjs';

const reportFile = '.cache/test-report.json';
const filters = process.argv.slice(2);
const counts = { passed: 0, failed: 0, skipped: 0 };

await main();
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
process.exit(counts.failed === 0 ? 0 : 1);

async function main() {
  const advice = installServers();
  if (advice !== undefined) {
    process.stdout.write(`${advice}\n`);
    counts.failed += 1;
    return;
  }
  if (!(await step('build', ['node', 'scripts/build.mjs', '--all'])) && filters.length === 0) {
    process.stdout.write('Types are wrong; the tests run nevertheless.\n');
  }
  if (filters.length === 0) {
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
    for (const name of Object.keys(scripts).filter((script) => script.startsWith('check:'))) {
      await step(name, ['npm', 'run', '-s', name]);
    }
  }
  await tests();
}

/** Runs one check: a line when it passes, all its output when it does not. */
async function step(name, command) {
  const startedAtMs = performance.now();
  const { status, output } = await run(command, 'captured');
  const passed = status === 0;
  counts[passed ? 'passed' : 'failed'] += 1;
  const seconds = ((performance.now() - startedAtMs) / 1_000).toFixed(1);
  process.stdout.write(
    `${passed ? 'pass' : 'FAIL'}  ${name} (${seconds} s)\n${passed ? '' : `${output.trimEnd()}\n`}`,
  );
  return passed;
}

async function tests() {
  mkdirSync('.cache', { recursive: true });
  rmSync(reportFile, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`];
  // A forgotten .only must not let the other tests of its file go by.
  const whole = filters.length === 0 ? ['--coverage', '--allowOnly=false'] : [];
  const command = ['node', 'node_modules/vitest/vitest.mjs', 'run', ...reporters, ...whole, ...filters];
  const { status } = await run(command, 'shown');
  const report = readReport();
  counts.passed += report.passed;
  counts.failed += report.failed;
  counts.skipped += report.skipped;
  // Coverage that is too low, or an error outside of any test, fails the run without failing a test.
  if (status !== 0 && report.failed === 0) {
    process.stdout.write('FAIL  coverage, or an error outside of the tests: see above\n');
    counts.failed += 1;
  } else if (status === 0 && whole.length > 0) {
    counts.passed += 1;
  }
}

function readReport() {
  let report;
  try {
    report = JSON.parse(readFileSync(reportFile, 'utf8'));
  } catch {
    // No report, no proof.
    return { passed: 0, failed: 1, skipped: 0 };
  }
  // A file that cannot even be loaded has failed, without a test of its own.
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

function run([command, ...args], output) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: output === 'shown' ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    child.stdout?.on('data', (chunk) => {
      text += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      text += chunk;
    });
    child.on('error', (error) => resolve({ status: 1, output: `${command}: ${error.message}` }));
    child.on('close', (status) => resolve({ status, output: text }));
  });
}
