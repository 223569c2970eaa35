/**
 * Writes the chat that `tidemark demo` numbers: src/cli/demo/chat.ndjson. The same bytes at every run.
 *
 *   node scripts/make-demo-chat.mjs
 */

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const target = path.join(path.dirname(fileURLToPath(import.meta.url)), '../src/cli/demo/chat.ndjson');
const messageCount = 4_000;
const firstMessageAtMs = Date.UTC(2025, 2, 3, 7, 30);

const people =
  'alice bob carol dmitri elif farah george hanna ines jonas kofi lena marta nikolai omar priya quentin rosa sven tomas uma viktor wanda yusuf'.split(
    ' ',
  );
const groups = [
  'kitchen',
  'climbing',
  'flat-4b',
  'book-club',
  'night-shift',
  'school-run',
  'allotment',
  'choir',
  'five-a-side',
  'backend',
  'lost-and-found',
  'film-night',
  'carpool',
  'board-games',
];
const privateCount = 26;

const words = {
  place: [
    'the station',
    'the corner cafe',
    'the office',
    'the park',
    'my place',
    'the library',
    'the old mill',
  ],
  food: ['soup', 'dumplings', 'flatbread', 'lentils', 'a cake', 'the big salad', 'pancakes', 'noodles'],
  day: ['today', 'tomorrow', 'on Friday', 'this weekend', 'on Monday', 'next week', 'on Thursday'],
  time: [
    'at six',
    'at half past seven',
    'around noon',
    'after work',
    'before nine',
    'at eight',
    'at quarter to five',
  ],
  thing: [
    'the blue umbrella',
    'the spare key',
    'the projector',
    'my charger',
    'the big pan',
    'the tickets',
    'the ladder',
  ],
  task: [
    'the report',
    'the shopping',
    'the booking',
    'the rota',
    'the invoice',
    'the release notes',
    'the playlist',
  ],
};

/** What is said, and what others may answer to it. */
const openings = [
  [
    'Is anybody at {place} {time}?',
    ['I can be there {time}', 'Not {day}, sorry', 'Yes, see you there', 'Only {day}'],
  ],
  [
    'Who has {thing}?',
    ['I do, will bring it {day}', 'Last seen at {place}', 'Not me', 'Check {place} first'],
  ],
  [
    'I will make {food} {day}',
    ['Count me in!', 'Save some for me', 'Can I bring {food}?', 'Perfect, I have had enough of {food}'],
  ],
  [
    'Did anyone finish {task}?',
    ['Almost, {time}', 'Done, have a look', 'I thought that was you :)', 'Started it {day}'],
  ],
  ['Train is late again', ['How late?', 'Take the bus, it stops at {place}', 'We will wait', 'Same here']],
  ['Can we move it to {day}?', ['Fine with me', 'Only {time}', 'Better {day}', 'Please not {time}']],
  ['Happy birthday!!', ['Thank you <3', 'From me too!', 'There is {food} at {place}']],
  [
    'What did you think of the ending?',
    ['Did not see it coming', 'Too long', 'No spoilers please', 'Loved it'],
  ],
  [
    'Rain all day, is it still on?',
    ['We go anyway', 'Indoors then, {place}', 'Let us decide {time}', 'I bring {thing}'],
  ],
  ['Build is red', ['Looking', 'That was me, fixed {time}', 'Flaky again, I reran it', 'Reverted']],
  ['On my way', ['ok', 'Great', 'Bring {food} if you pass a shop', 'Door is open']],
  ['Thanks for yesterday', ['Any time', 'It was fun', 'You forgot {thing} here', 'Again {day}?']],
  [
    'Could you cover for me {day}?',
    ['Sure', 'If it is {time}', 'Sorry, I am at {place}', 'You owe me {food} ;)'],
  ],
  ['I found {thing} at {place}', ['That is mine!', 'Leave it there, I come {time}', 'Oh finally']],
];
const asides = [
  'haha',
  'ok',
  '+1',
  'brb',
  'sounds good',
  'same',
  'no worries',
  'good morning',
  'see you {day}',
  'let me check',
];

const random = generator(20_250_303);
const conversations = shuffled([...groups.map(groupOf), ...pairs()]);
// A few busy conversations and many quiet ones.
const weights = conversations.map((_, rank) => 1 / (rank + 2));
const lines = [];
let sentAtMs = firstMessageAtMs;
for (let index = 1; index <= messageCount; index += 1) {
  // Every conversation speaks once before chance decides.
  const of = index <= conversations.length ? conversations[index - 1] : weighted(conversations, weights);
  sentAtMs += 1_000 * (1 + Math.floor(random() * 9));
  lines.push(JSON.stringify(message(index, of)));
}
writeFileSync(target, `${lines.join('\n')}\n`);

function message(index, of) {
  const { sender, text } = speak(of);
  const to =
    of.group === undefined
      ? { recipient: of.members.find((member) => member !== sender) }
      : { group: of.group };
  const sentAt = new Date(sentAtMs).toISOString().replace('.000Z', 'Z');
  return { messageId: `m${String(index).padStart(4, '0')}`, sentAt, sender, text: filled(text), ...to };
}

function speak(of) {
  if (of.answers.length > 0 && random() < 0.75) {
    const others = of.members.filter((member) => member !== of.speaker);
    return { sender: pick(others), text: of.answers.shift() };
  }
  of.speaker = pick(of.members);
  if (random() < 0.2) return { sender: of.speaker, text: pick(asides) };
  const [text, answers] = pick(openings);
  of.answers = shuffled(answers).slice(0, 1 + Math.floor(random() * answers.length));
  return { sender: of.speaker, text };
}

function filled(text) {
  return text.replace(/\{(\w+)\}/g, (_, kind) => pick(words[kind]));
}

function groupOf(group) {
  return {
    group,
    members: shuffled(people).slice(0, 4 + Math.floor(random() * 9)),
    answers: [],
    speaker: '',
  };
}

function pairs() {
  const found = new Map();
  while (found.size < privateCount) {
    const members = shuffled(people).slice(0, 2);
    found.set([...members].sort().join(), { members, answers: [], speaker: '' });
  }
  return [...found.values()];
}

function pick(list) {
  return list[Math.floor(random() * list.length)];
}

function weighted(list, weightOf) {
  let left = random() * weightOf.reduce((sum, weight) => sum + weight, 0);
  const index = weightOf.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
  return list[index < 0 ? list.length - 1 : index];
}

function shuffled(list) {
  const copy = [...list];
  for (let index = copy.length - 1; index > 0; index -= 1) {
    const other = Math.floor(random() * (index + 1));
    [copy[index], copy[other]] = [copy[other], copy[index]];
  }
  return copy;
}

/** mulberry32: small, and the same everywhere. Numbers from 0 to below 1. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
