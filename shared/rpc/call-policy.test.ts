import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { PeerIdentity } from '../domain/peer-identity.ts';
import { callPolicy, mayCall } from './call-policy.ts';

const protoDirectory = new URL('../../../proto/waybill/v1/', import.meta.url);

/** The `Callers:` line above each method of a proto file, by full method. */
function callersIn(file: string): Map<string, string[]> {
  const callers = new Map<string, string[]>();
  let service = '';
  let said: string | undefined;
  for (const line of readFileSync(new URL(file, protoDirectory), 'utf8').split('\n')) {
    service = /^service (\w+)/.exec(line)?.[1] ?? service;
    said = /^\s+\/\/ Callers: (.+)\.$/.exec(line)?.[1] ?? said;
    const method = /^\s+rpc (\w+)\(/.exec(line)?.[1];
    if (!method) continue;
    assert.ok(said, `${service}.${method} says who may call it`);
    callers.set(`/waybill.v1.${service}/${method}`, said.split('; '));
    said = undefined;
  }
  return callers;
}

describe('call policy (SEC-1)', () => {
  it('says what the comments of the protos say, method by method', () => {
    const files = [
      'admin',
      'content',
      'distribution_point',
      'enrollment',
      'management_point',
      'replication',
      'site_transfer',
    ];
    const inProtos = new Map(files.flatMap((name) => [...callersIn(`${name}.proto`)]));
    const inTable = [...callPolicy].filter(([path]) => path.startsWith('/waybill.v1.'));
    const byPath = (a: readonly [string, unknown], b: readonly [string, unknown]) =>
      a[0] < b[0] ? -1 : 1;
    assert.deepEqual(
      inTable.map(([path, rule]) => [path, [...rule.callers]] as const).sort(byPath),
      [...inProtos].sort(byPath),
    );
  });

  it('counts every method of administrators who may change things among the changing ones', () => {
    for (const [path, rule] of callPolicy) {
      if (!rule.callers.includes('administrators who may change things')) continue;
      assert.equal(rule.audited, 'always', path);
    }
  });

  it('lets nobody call what is not in the table', () => {
    const everybody: PeerIdentity[] = [
      { kind: 'site', siteCode: 'PS1' },
      { kind: 'dp', dpId: 'PS1DP1' },
      { kind: 'admin', role: 'full', name: 'alice' },
      { kind: 'client', name: 'pc1' },
    ];
    for (const identity of everybody) {
      for (const path of ['/waybill.v1.Admin/Unheard', '', '__proto__', 'constructor']) {
        assert.equal(mayCall(identity, path, 'PS1'), false);
      }
    }
  });

  it('takes only the very site of a DP for its site', () => {
    const check = '/waybill.v1.DistributionPoint/Check';
    assert.equal(mayCall({ kind: 'site', siteCode: 'PS1' }, check, 'PS1'), true);
    assert.equal(mayCall({ kind: 'site', siteCode: 'PS2' }, check, 'PS1'), false);
    assert.equal(mayCall({ kind: 'dp', dpId: 'PS1' }, check, 'PS1'), false);
  });
});
