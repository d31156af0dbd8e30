import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';

const protoDirectory = new URL('../../../../proto/waybill/v1/', import.meta.url);

/** A method of the protos, and who may call it as its comment says. */
export interface ProtoMethod {
  readonly service: string;
  readonly method: string;
  /** Such as /waybill.v1.Admin/GetSite. */
  readonly path: string;
  readonly callers: readonly string[];
}

/** Every method of every service of the protos, in the order of the files and of their lines. */
export function protoMethods(): ProtoMethod[] {
  const files = readdirSync(protoDirectory).filter((name) => name.endsWith('.proto'));
  return files
    .sort()
    .flatMap((file) => methodsIn(readFileSync(new URL(file, protoDirectory), 'utf8')));
}

/** By the `Callers:` line above each method. */
function methodsIn(text: string): ProtoMethod[] {
  const methods: ProtoMethod[] = [];
  let service = '';
  let said: string | undefined;
  for (const line of text.split('\n')) {
    service = /^service (\w+)/.exec(line)?.[1] ?? service;
    said = /^\s+\/\/ Callers: (.+)\.$/.exec(line)?.[1] ?? said;
    const method = /^\s+rpc (\w+)\(/.exec(line)?.[1];
    if (!method) continue;
    assert.ok(said, `${service}.${method} says who may call it`);
    const path = `/waybill.v1.${service}/${method}`;
    methods.push({ service, method, path, callers: said.split('; ') });
    said = undefined;
  }
  return methods;
}
