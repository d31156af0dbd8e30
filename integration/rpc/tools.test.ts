import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type Client, Metadata } from '@grpc/grpc-js';
import {
  loadFileDescriptorSetFromBuffer,
  loadSync,
  type MethodDefinition,
  type PackageDefinition,
  type ServiceDefinition,
} from '@grpc/proto-loader';
import { foreignClient } from './foreign-client.ts';
import { client, fullAdmin, peers, TrustCircle } from './trust-circle.ts';

type AnyMethod = MethodDefinition<unknown, unknown, unknown, unknown>;

const require = createRequire(import.meta.url);
const options = { longs: String, enums: String, defaults: true, oneofs: true };
const reflectionProto = join(
  dirname(require.resolve('@grpc/reflection')),
  '../proto/grpc/reflection/v1/reflection.proto',
);
const healthProto: string = require('grpc-health-check').protoPath;

function methodOf(definitions: PackageDefinition, service: string, method: string): AnyMethod {
  const definition = (definitions[service] as ServiceDefinition)[method];
  assert.ok(definition, `${service} has ${method}`);
  return definition as AnyMethod;
}

/** Sends one request and gives the first answer, whatever the kind of the method. */
async function firstAnswer(caller: Client, method: AnyMethod, request: object): Promise<unknown> {
  const call = caller.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    new Metadata(),
  );
  call.write(request);
  call.end();
  for await (const answer of call) return answer;
  return undefined;
}

const reflect = methodOf(
  loadSync(reflectionProto, options),
  'grpc.reflection.v1.ServerReflection',
  'ServerReflectionInfo',
);

interface Listed {
  listServicesResponse: { service: { name: string }[] };
}

interface Described {
  fileDescriptorResponse: { fileDescriptorProto: Buffer[] };
}

/** The definitions of a symbol and what it needs, out of what reflection tells. */
async function definitionsOf(caller: Client, symbol: string): Promise<PackageDefinition> {
  const answer = (await firstAnswer(caller, reflect, {
    fileContainingSymbol: symbol,
  })) as Described;
  const files = answer.fileDescriptorResponse.fileDescriptorProto;
  return loadFileDescriptorSetFromBuffer(Buffer.concat(files.map(asFieldOne)), options);
}

/** Field 1 of a FileDescriptorSet: tag, length as a varint, bytes. */
function asFieldOne(bytes: Buffer): Buffer {
  const length = [];
  for (let rest = bytes.length; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.concat([Buffer.from([0x0a, ...length, rest]), bytes]);
    length.push((rest & 0x7f) | 0x80);
  }
}

describe('tools that know nothing of us (ADM-7)', () => {
  it('list the services of a server, describe a method and call it', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('Admin', {
      getSite: async () => ({ siteCode: 'PS1', kind: 'SITE_KIND_PRIMARY' }),
    });
    const caller = foreignClient(server.address, await circle.credentials(fullAdmin));
    const listed = (await firstAnswer(caller, reflect, { listServices: '*' })) as Listed;
    assert.deepEqual(listed.listServicesResponse.service.map(({ name }) => name).sort(), [
      'grpc.health.v1.Health',
      'waybill.v1.Admin',
    ]);
    const definitions = await definitionsOf(caller, 'waybill.v1.Admin');
    const getSite = methodOf(definitions, 'waybill.v1.Admin', 'GetSite');
    assert.deepEqual(await firstAnswer(caller, getSite, {}), {
      siteCode: 'PS1',
      kind: 'SITE_KIND_PRIMARY',
      agentVersion: '',
      startedAtMs: '0',
    });
    caller.close();
  });

  it('may be used with any certificate of the hierarchy', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('Admin', { getSite: async () => ({}) });
    const check = methodOf(loadSync(healthProto, options), 'grpc.health.v1.Health', 'Check');
    for (const peer of peers) {
      const caller = foreignClient(server.address, await circle.credentials(peer));
      assert.ok(await firstAnswer(caller, reflect, { listServices: '*' }));
      assert.deepEqual(await firstAnswer(caller, check, {}), { status: 'SERVING' });
      caller.close();
    }
  });

  it('are told the health of the server and of each service, and when it stops', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('Admin', { getSite: async () => ({}) });
    const caller = foreignClient(server.address, await circle.credentials(client));
    const health = loadSync(healthProto, options);
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
