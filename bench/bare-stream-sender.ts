/** The sending end of the bare stream, in a process of its own: one stream of encoded pieces. */

import { frameMemoryBytes, pieceFrame } from '../shared/content-source/content-message.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { collectGarbageLessOften } from '../shared/runtime/garbage-collection.ts';

const pieceBytes = 1024 * 1024;
// As the agents do, so that it is the ceiling.
collectGarbageLessOften();

const [address = '', caFile = '', certificateFile = '', keyFile = ''] = process.argv.slice(2);
const channel = new RpcChannel({
  conversation: 'DistributionPoint',
  address,
  expected: (peer) => peer.kind === 'dp',
  expectedText: 'a distribution point',
  credentials: await readPeerCredentials({ caFile, certificateFile, keyFile }),
});
await channel.whenReachable();

/** Messages handed to the transport that it has not taken yet, so that it never runs dry. */
const aheadMax = 8;

/** Sends so many bytes and resolves when the other end has all of them. */
async function send(bytes: number): Promise<void> {
  const stream = channel.duplex('putContent', {});
  const piece = { hash: '00'.repeat(32), pieceIndex: 0, sizeBytes: pieceBytes };
  const { bytes: frame } = pieceFrame(new ArrayBuffer(frameMemoryBytes), piece);
  const message = Buffer.from(frame.buffer, 0, frame.length);
  const ahead: Promise<void>[] = [];
  for (let sent = 0; sent < bytes; sent += pieceBytes) {
    ahead.push(stream.write(message));
    if (ahead.length >= aheadMax) await ahead.shift();
  }
  await Promise.all(ahead);
  stream.end();
  while ((await stream.read()) !== undefined);
}

process.on('message', async (bytes: number) => {
  await send(bytes);
  process.send?.('sent');
});
process.send?.('ready');
process.on('disconnect', () => process.exit(0));
