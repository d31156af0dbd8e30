/**
 * A hostile peer as a program of its own, so that it takes no time from those it is measured beside:
 * attacks one address with one certificate until it is ended. Words: address, CA, certificate, key,
 * streamed path, single path, and `with` or `without` a certificate.
 */
import { setPriority } from 'node:os';
import { attacks } from '../integration/hostile-peer.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';

/** How long it does one thing before it does the next. */
const attackMs = 2_500;

const [address = '', caFile = '', certificateFile = '', keyFile = '', ...others] =
  process.argv.slice(2);
const [streamed = '', single = '', how] = others;
setPriority(19);
const credentials = await readPeerCredentials({ caFile, certificateFile, keyFile });
const target = { address, credentials, paths: { streamed, single }, localAddress: '127.0.0.2' };
const own = attacks.filter(({ needsCertificate }) => needsCertificate === (how === 'with'));
for (;;) {
  for (const { run } of own) await run(target, AbortSignal.timeout(attackMs));
}
