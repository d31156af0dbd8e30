import assert from 'node:assert/strict';
import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { messageBytesMax, metadataBytesMax } from '../../shared/rpc/rpc-limits.ts';
import { encodeMessage } from '../../shared/rpc/service-definitions.ts';
import { foreignClient } from './foreign-client.ts';
import { site, TrustCircle } from './trust-circle.ts';

/** The status of a call of `Check` by a client that keeps no limit of ours. */
async function statusOf(circle: TrustCircle, request: Buffer, metadata = new Metadata()) {
  const server = await circle.serve('DistributionPoint', { check: async () => ({}) });
  const caller = foreignClient(server.address, await circle.credentials(site));
  const path = '/waybill.v1.DistributionPoint/Check';
  const call = caller.makeBidiStreamRequest(path, echo, echo, metadata);
  call.on('error', () => {});
  call.end(request);
  call.resume();
  const code = await new Promise<status>((resolve) =>
    call.on('status', (ended: StatusObject) => resolve(ended.code)),
  );
  caller.close();
  return status[code];
}

function echo(bytes: Buffer): Buffer {
  return bytes;
}

/** A request of exactly so many bytes. */
function requestOf(bytes: number): Buffer {
  const encode = (dpId: string) => encodeMessage('DistributionPoint', 'check', { dpId });
  const overhead = encode('x'.repeat(bytes - 16)).length - (bytes - 16);
  return encode('x'.repeat(bytes - overhead));
}

describe('limits of a server (SEC-4)', () => {
  it('takes a message of the longest length, and none that is longer by a byte', async () => {
    await using circle = await TrustCircle.create();
    assert.equal(await statusOf(circle, requestOf(messageBytesMax)), 'OK');
    assert.equal(await statusOf(circle, requestOf(messageBytesMax + 1)), 'RESOURCE_EXHAUSTED');
  });

  it('refuses bytes that are no message', async () => {
    await using circle = await TrustCircle.create();
    assert.equal(await statusOf(circle, Buffer.from([0xff, 0xff, 0x01])), 'INVALID_ARGUMENT');
  });

  it('refuses metadata over the limit', async () => {
    await using circle = await TrustCircle.create();
    const metadata = new Metadata();
    metadata.set('x-long', 'y'.repeat(metadataBytesMax));
    assert.notEqual(await statusOf(circle, Buffer.alloc(0), metadata), 'OK');
  });
});
