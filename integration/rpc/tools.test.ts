import assert from 'node:assert/strict';
import { Metadata } from '@grpc/grpc-js';
import { foreignClient } from './foreign-client.ts';
import { definitionsOf, firstAnswer, health, listServices, methodOf } from './tool-client.ts';
import { client, fullAdmin, peers, TrustCircle } from './trust-circle.ts';

describe('tools that know nothing of us (ADM-7)', () => {
  it('list the services of a server, describe a method and call it', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('Admin', {
      getSite: async () => ({ siteCode: 'PS1', kind: 'SITE_KIND_PRIMARY' }),
    });
    const caller = foreignClient(server.address, await circle.credentials(fullAdmin));
    const services = ['grpc.health.v1.Health', 'waybill.v1.Admin'];
    assert.deepEqual(await listServices(caller), services);
    const definitions = await definitionsOf(caller, 'waybill.v1.Admin');
    const getSite = methodOf(definitions, 'waybill.v1.Admin', 'GetSite');
    assert.deepEqual(await firstAnswer(caller, getSite, {}), {
      siteCode: 'PS1',
      kind: 'SITE_KIND_PRIMARY',
      agentVersion: '',
      startedAtMs: '0',
      parentSiteCode: '',
    });
    caller.close();
  });

  it('may be used with any certificate of the hierarchy', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('Admin', { getSite: async () => ({}) });
    const check = methodOf(health, 'grpc.health.v1.Health', 'Check');
    for (const peer of peers) {
      const caller = foreignClient(server.address, await circle.credentials(peer));
      assert.ok((await listServices(caller)).includes('waybill.v1.Admin'));
      assert.deepEqual(await firstAnswer(caller, check, {}), { status: 'SERVING' });
      caller.close();
    }
  });

  it('are told the health of the server and of each service, and when it stops', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('Admin', { getSite: async () => ({}) });
    const caller = foreignClient(server.address, await circle.credentials(client));
    const check = methodOf(health, 'grpc.health.v1.Health', 'Check');
    assert.deepEqual(await firstAnswer(caller, check, { service: 'waybill.v1.Admin' }), {
      status: 'SERVING',
    });
    const watch = methodOf(health, 'grpc.health.v1.Health', 'Watch');
    const watching = caller.makeBidiStreamRequest(
      watch.path,
      watch.requestSerialize,
      watch.responseDeserialize,
      new Metadata(),
    );
    watching.end({ service: '' });
    const states = watching[Symbol.asyncIterator]();
    assert.deepEqual((await states.next()).value, { status: 'SERVING' });
    const stopped = server.stop();
    assert.deepEqual((await states.next()).value, { status: 'NOT_SERVING' });
    watching.on('error', () => {});
    watching.cancel();
    await stopped;
    caller.close();
  });
});
