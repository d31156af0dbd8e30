/**
 * A hostile peer as a program of its own, so that it takes no time from those it is measured beside:
 * attacks one address with one certificate until it is ended; says when it begins, and what it has done. Words:
 * address, CA, certificate, key, streamed path, single path, class of attacks, how long it does one thing
 * before it does the next, in milliseconds, and the address it comes from.
 * Last it says which part of a processor it took, too.
 */
import { setPriority } from 'node:os';
import { guesses } from '../integration/hostile-enrollment.ts';
import { attacksByClass } from '../integration/hostile-peer.ts';
import { blows } from '../integration/raw-http2.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';

const [address = '', caFile = '', certificateFile = '', keyFile = '', ...others] =
  process.argv.slice(2);
const [streamed = '', single = '', attackClass = '', attackMs = '', localAddress = ''] = others;
setPriority(19);
process.once('SIGTERM', () => {
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpuShare = (user + system) / 1_000 / (performance.now() - beganMs);
  console.log(JSON.stringify({ ...blows, cpuShare }));
  process.exit(0);
});
const credentials = await readPeerCredentials({ caFile, certificateFile, keyFile });
const target = { address, credentials, paths: { streamed, single }, localAddress };
const own = { ...attacksByClass, guesses }[attackClass];
if (!own) throw new Error(`There are no attacks called ${attackClass}`);
// An attack that only waits keeps no process alive.
setInterval(() => {}, 60_000);
const [beganMs, cpuBefore] = [performance.now(), process.cpuUsage()];
console.log('ready');
for (;;) {
  for (const { run } of own) await run(target, AbortSignal.timeout(Number(attackMs)));
}
