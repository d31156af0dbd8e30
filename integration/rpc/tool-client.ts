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

type AnyMethod = MethodDefinition<unknown, unknown, unknown, unknown>;

const require = createRequire(import.meta.url);
const options = { longs: String, enums: String, defaults: true, oneofs: true };
const reflectionProto = join(
  dirname(require.resolve('@grpc/reflection')),
  '../proto/grpc/reflection/v1/reflection.proto',
);

/** One method of a service. */
export function methodOf(
  definitions: PackageDefinition,
  service: string,
  method: string,
): AnyMethod {
  const definition = (definitions[service] as ServiceDefinition)[method];
  assert.ok(definition, `${service} has ${method}`);
  return definition as AnyMethod;
}

/** Sends one request and gives the first answer, whatever the kind of the method. */
export async function firstAnswer(
  caller: Client,
  method: AnyMethod,
  request: object,
): Promise<unknown> {
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

/** The health service, as gRPC has it. */
export const health: PackageDefinition = loadSync(require('grpc-health-check').protoPath, options);

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

/** Names of all services the server tells of. */
export async function listServices(caller: Client): Promise<string[]> {
  const answer = (await firstAnswer(caller, reflect, { listServices: '*' })) as Listed;
  return answer.listServicesResponse.service.map(({ name }) => name).sort();
}

/** The definitions of a symbol and what it needs, out of what reflection tells. */
export async function definitionsOf(caller: Client, symbol: string): Promise<PackageDefinition> {
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
