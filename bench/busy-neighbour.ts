/**
 * A program that attacks nobody, and takes as much of the processors as an attacker took: he works on the
 * same machine as those he is measured beside, which in the field he does not. Ends when it is killed.
 * Words: the part of one processor, from 0 to 1.
 */
import { setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

const turnMs = 10;

const share = Number(process.argv[2]);
setPriority(19);
console.log('ready');
for (;;) {
  const untilMs = performance.now() + turnMs * share;
  while (performance.now() < untilMs);
  await sleep(turnMs * (1 - share));
}
