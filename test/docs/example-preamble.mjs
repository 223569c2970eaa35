/** Loaded before an example: compares what its console.log statements print with the comments behind them. */

import { format, stripVTControlCharacters } from 'node:util';

const expected = JSON.parse(process.env.TIDEMARK_EXPECTED);
const printed = expected.map(() => []);

globalThis.tidemarkPrint =
  (index) =>
  (...values) => {
    printed[index].push(stripVTControlCharacters(format(...values)));
  };

process.on('exit', (status) => {
  // What it did not print is no news when it has failed.
  if (status !== 0) return;
  for (const [index, text] of expected.entries()) {
    const wrong =
      printed[index].length === 0 ? 'nothing' : printed[index].find((line) => !matches(line, text));
    if (wrong === undefined) continue;
    process.stderr.write(`expected: ${text}\nprinted:  ${wrong}\n`);
    process.exitCode = 1;
  }
});

/** `…` stands for anything; line breaks and runs of spaces are one space. */
function matches(actual, text) {
  const oneSpace = (value) => value.replace(/\s+/g, ' ').trim();
  const parts = oneSpace(text)
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 'su').test(oneSpace(actual));
}
